"""Agreement is measured on running tiers, and what was measured is served."""

from dataclasses import replace

import numpy as np
import pytest

from tests.speculation.fleet import Fleet, Replica
from tests.speculation.rule_fleet import long_ask, stream, toy
from tests.speculation.toy_models import memoryless
from tiercel.errors import InvalidRequest, NotFound, Unsupported
from tiercel.evaluation.agreement.asking import Manner, panel, read_all
from tiercel.evaluation.agreement.report import report_of, table_of
from tiercel.evaluation.agreement.voices import Voice, away, settled, voices
from tiercel.plan_text import parse_plan
from tiercel.replies import NamedPlan, Overview, ReplicaState
from tiercel.replies import Replica as Known
from tiercel.types import Acceptance, Rule, SamplingParams

TARGET = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
NEAR = np.array([0.4, 0.3, 0.1, 0.1, 0.1])
MANNER = Manner(SamplingParams(), 24, 60.0)


def voice(replica: Replica) -> Voice:
    about = replica.tier.describe()
    return Voice(about.tier, replica.address, about.tokenizer_fingerprint, about.verifies)


async def measured(root: Replica, *others: Replica, manner: Manner = MANNER):
    target, rest = voice(root), [voice(one) for one in others]
    left_out = []
    async with panel(target, rest, manner) as asked:
        samples = [await asked.answer("ab" * count, "letters") for count in range(1, 6)]
        readings = await read_all(
            asked,
            rest,
            samples,
            advance=lambda: None,
            left_out=lambda name, error: left_out.append(name),
        )
    fingerprints = {one.name: target.fingerprint for one in (target, *rest)}
    return samples, readings, fingerprints


async def test_what_was_measured_is_what_the_rule_goes_by(fleet: Fleet):
    root = await toy(fleet, "root", memoryless(TARGET))
    one, two = [await toy(fleet, name, memoryless(NEAR)) for name in ("one", "two")]
    told = await measured(root, one, two)
    assert [sample.token_ids for sample in told[0]] == [(0,) * 24] * 5
    report = report_of(*told, target="root", num_agreeing=2)
    assert {line.agreement for line in report.pairs} == {1.0}
    alike = next(line for line in report.pairs if {line.one, line.other} == {"one", "root"})
    assert alike.similarity == pytest.approx(0.9, abs=1e-5)
    [line] = report.counts
    assert (line.num_agreeing, line.num_places, line.num_target_agrees) == (2, 120, 120)
    table = table_of(*told, target="root", temperature=0.0, measured_on="toys")
    assert table.drafters == ("one", "two")

    served = await toy(fleet, "root", memoryless(TARGET), calibration=table)
    plan = served.plan(one.plan(), two.plan(), acceptance=Acceptance(Rule.AGREEMENT, 0.9))
    got = await stream(fleet, served, plan, long_ask(40, seed=1, temperature=0.0))
    assert got.end.rule_use.num_unjudged_tokens > 20
    strict = replace(plan, acceptance=Acceptance(Rule.AGREEMENT, 0.999))
    got = await stream(fleet, served, strict, long_ask(40, seed=1, temperature=0.0))
    assert got.end.rule_use.num_unjudged_tokens == 0


async def test_tiers_without_a_model_are_read_too(fleet: Fleet):
    root, suffix = await toy(fleet, "root", memoryless(TARGET)), await fleet.suffix()
    samples, readings, _ = await measured(root, suffix)
    for sample, said in zip(samples, readings["suffix"], strict=True):
        assert len(said.choices) == len(sample.token_ids)
        assert said.choices[-1] == b"a"  # it has seen nothing else for a while
        assert set(said.entropies) == {None}


async def test_a_tier_that_cannot_score_is_left_out(fleet: Fleet, monkeypatch):
    root, other = [await toy(fleet, name, memoryless(TARGET)) for name in ("root", "other")]

    async def refuse(ask, deadline):
        raise Unsupported("other cannot score")

    monkeypatch.setattr(other.tier, "score", refuse)
    _, readings, _ = await measured(root, other)
    assert list(readings) == ["root"]


def overview(*names: str, away: str = "") -> Overview:
    def state(name: str) -> ReplicaState:
        return ReplicaState.UNREACHABLE if name == away else ReplicaState.READY

    class About:
        tokenizer_fingerprint, verifies = "v", True

    plan = NamedPlan("usual", parse_plan(names[0]).plan(), is_default=True)
    known = [Known(name, f"{name}:1", state(name), 0, About()) for name in names]
    return Overview(tuple(known), (plan,))


def test_the_default_plans_root_is_compared_with_all_that_take_work():
    target, others = voices(overview("big", "small", "gone", away="gone"), "", ())
    assert (target.name, [one.name for one in others]) == ("big", ["small"])
    target, others = voices(overview("big", "small", "tiny"), "small", ("tiny",))
    assert (target.name, [one.name for one in others]) == ("small", ["tiny"])
    with pytest.raises(NotFound, match="'gone'"):
        voices(overview("big", "gone", away="gone"), "", ("gone",))
    with pytest.raises(InvalidRequest, match="no other tier"):
        voices(overview("big"), "", ())


async def test_tiers_that_take_no_work_yet_are_waited_for_and_named():
    half, whole = overview("big", "small", away="small"), overview("big", "small")
    coming = iter([half, half, whole])

    async def ask() -> Overview:
        return next(coming)

    assert await settled(ask, 60.0) == whole
    coming = iter([half])
    assert away(await settled(ask, 0.0)) == ["small"]
