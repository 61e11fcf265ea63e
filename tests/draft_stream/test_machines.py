"""Whatever happens, in whatever order, the two sides of a draft stream come to the same truth."""

from hypothesis import HealthCheck, settings

from tests.draft_stream.machines import DraftStream, SelfDraft

THOROUGH = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # says more about the machine than the test
    report_multiple_bugs=False,
)

TestDraftStream = DraftStream.TestCase
TestDraftStream.settings = THOROUGH
TestSelfDraft = SelfDraft.TestCase
TestSelfDraft.settings = THOROUGH
