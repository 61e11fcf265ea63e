"""What any drafter and any verifier must do, seen from outside with raw messages.

`pytest tests/test_conformance.py --drafter HOST:PORT --verifier HOST:PORT` tests those that listen
there; without an option our own are started. A program that passes may take their place.
"""

import grpc
import pytest

from tests.conformance.drafting import (
    AHEAD,
    PREFIX,
    advance,
    block_after,
    mended,
    opened,
    opening,
    prefix,
)
from tests.conformance.streams import hash_of
from tests.conformance.verifying import answer_of, ask, block, first_verdict, last, verdict_on
from tiercel.v1 import decoding_pb2
from tiercel.v1 import drafter_pb2 as pb
from tiercel.v1 import verifier_pb2 as vpb

pytest_plugins = ("tests.conformance.targets",)


async def test_a_drafter_says_what_it_is(drafter):
    about = drafter.about
    assert about.tier and about.drafts and about.max_sessions >= 1


async def test_a_drafter_opens_drafts_and_ends_cleanly(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        await block_after(stream, drafter, PREFIX, 0)
        await stream.send(finish=pb.DraftFinish())
        while (message := await stream.next())[0] == "block":
            pass
        assert message == ("end", None)
    await drafter.forgets()


async def test_an_advance_that_agrees_is_continued_without_a_cut(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        known = PREFIX + (first := await block_after(stream, drafter, PREFIX, 0))
        await stream.send(advance=advance(0, len(PREFIX), first, known))
        await block_after(stream, drafter, known, 0)


async def test_an_advance_that_disagrees_starts_an_epoch(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        first = await block_after(stream, drafter, PREFIX, 0)
        other = 50 if first[:1] != [50] else 51
        truth = [*PREFIX, other]
        await stream.send(advance=advance(1, len(PREFIX), [other], truth))
        await block_after(stream, drafter, truth, 1)


async def test_an_advance_may_cut_what_was_committed(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        await block_after(stream, drafter, PREFIX, 0)
        truth = [*PREFIX[:-4], 50]
        await stream.send(advance=advance(1, len(PREFIX) - 4, [50], truth))
        await block_after(stream, drafter, truth, 1)


async def test_the_window_is_never_exceeded(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter, max_tokens_ahead=AHEAD)
        known, num_beats = list(PREFIX), 0
        while num_beats < 2:
            kind, message = await stream.next(beats=True)
            num_beats += kind == "heartbeat"
            if kind == "block":
                assert message.start_position == len(known)
                known += message.token_ids
        assert len(known) - len(PREFIX) <= AHEAD


async def test_a_wrong_hash_is_answered_by_a_resync_and_mended(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        await block_after(stream, drafter, PREFIX, 0)
        truth = [*PREFIX, 50]
        wrong = advance(1, len(PREFIX), [50], truth, prefix_hash=7)
        await mended(stream, drafter, wrong, truth)


async def test_a_gap_is_answered_by_a_resync_and_mended(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
        await block_after(stream, drafter, PREFIX, 0)
        truth = [*PREFIX, 50]
        await mended(stream, drafter, advance(1, len(PREFIX) + 500, [50], truth), truth)


async def test_a_drafter_leaves_with_its_parent(drafter):
    async with drafter.draft() as stream:
        await opened(stream, drafter)
    await drafter.forgets()


async def test_a_drafter_ends_with_the_deadline(drafter):
    async with drafter.draft(timeout_s=3) as stream:
        await opened(stream, drafter)
        assert await stream.failure() is grpc.StatusCode.DEADLINE_EXCEEDED
    await drafter.forgets()


@pytest.mark.parametrize(
    "change",
    [
        {"plan": decoding_pb2.Plan(tier="somebody else")},
        {"num_prompt_tokens": 0},
        {"num_prompt_tokens": len(PREFIX) + 1},
    ],
    ids=["another tier", "no prompt", "prompt too long"],
)
async def test_a_drafter_refuses_a_bad_opening(drafter, change):
    async with drafter.draft() as stream:
        await stream.send(open=opening(drafter, **change))
        assert await stream.failure() is grpc.StatusCode.INVALID_ARGUMENT
    await drafter.forgets()


async def test_a_drafter_refuses_to_be_told_before_it_was_opened(drafter):
    async with drafter.draft() as stream:
        await stream.send(advance=advance(0, 0, PREFIX, PREFIX))
        assert await stream.failure() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_drafter_with_a_vocabulary_refuses_another_and_ids_beyond_it(drafter):
    if not drafter.about.vocab_size:
        pytest.skip("takes any vocabulary")
    async with drafter.draft() as stream:
        await stream.send(open=opening(drafter, prefix=prefix(drafter, PREFIX, "another")))
        assert await stream.failure() is grpc.StatusCode.FAILED_PRECONDITION
    beyond = prefix(drafter, [*PREFIX, drafter.about.vocab_size])
    async with drafter.draft() as stream:
        await stream.send(open=opening(drafter, prefix=beyond))
        assert await stream.failure() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_verifier_says_what_it_is(verifier):
    about = verifier.about
    assert about.tier and about.verifies and about.numerics_id and about.tokenizer_fingerprint
    assert about.vocab_size and about.max_length


@pytest.mark.parametrize("temperature", [0.0, 0.9])
async def test_a_verifier_gives_the_same_answer_twice(verifier, temperature):
    answers = []
    for _ in range(2):
        async with verifier.verifier("Generate") as stream:
            answer, finished = await answer_of(stream, verifier, temperature=temperature)
            answers.append(answer.token_ids)
            assert finished.reason == decoding_pb2.FINISH_REASON_LENGTH
            assert len(answer.token_ids) == 24
    assert answers[0] == answers[1]
    await verifier.forgets()


async def test_a_verifier_ends_when_it_is_told_to(verifier):
    async with verifier.verifier("Generate") as stream:
        await stream.send(open=ask(verifier, max_new_tokens=400))
        await stream.send(finish=vpb.GenerateFinish())
        await stream.expect("opened")
        finished = await last(stream)
        assert finished.reason == decoding_pb2.FINISH_REASON_CANCELLED
        await stream.ends()
    await verifier.forgets()


async def test_a_verifier_ends_before_the_deadline(verifier):
    """Nobody sends blocks: only the deadline can end this session."""
    async with verifier.verifier("Verify", timeout_s=3) as stream:
        await first_verdict(stream, verifier)
        finished = await last(stream)
        assert finished.reason == decoding_pb2.FINISH_REASON_DEADLINE
        await stream.ends()
    await verifier.forgets()


async def test_a_verifier_leaves_with_its_caller(verifier):
    async with verifier.verifier("Verify") as stream:
        await first_verdict(stream, verifier)
    await verifier.forgets()


@pytest.mark.parametrize("method", ["Generate", "Verify"])
@pytest.mark.parametrize(
    "change",
    [
        {"plan": decoding_pb2.Plan(tier="somebody else")},
        {"prompt": decoding_pb2.Prompt()},
        {"stop": decoding_pb2.StopConditions(max_new_tokens=0)},
        {"sampling": decoding_pb2.SamplingParams(temperature=-1)},
        {"acceptance": decoding_pb2.Acceptance(rule="ACCEPTANCE_RULE_LENIENT", learned=True)},
    ],
    ids=["another tier", "no prompt", "no tokens", "temperature below 0", "learned strictness"],
)
async def test_a_verifier_refuses_a_bad_opening(verifier, method, change):
    async with verifier.verifier(method) as stream:
        await stream.send(open=ask(verifier, **change))
        assert await stream.failure() is grpc.StatusCode.INVALID_ARGUMENT
    await verifier.forgets()


@pytest.mark.parametrize("temperature", [0.0, 0.9])
async def test_verdicts_lead_to_the_answer_of_plain_decoding(verifier, temperature):
    async with verifier.verifier("Generate") as stream:
        plain, _ = await answer_of(stream, verifier, temperature=temperature)
    truth = plain.token_ids
    async with verifier.verifier("Verify") as stream:
        prompt, answer = await first_verdict(stream, verifier, temperature=temperature)
        assert await verdict_on(stream, prompt, answer, truth[1:5]) == 4
        assert await verdict_on(stream, prompt, answer, [truth[6], truth[7] ^ 1]) == 1
        assert await verdict_on(stream, prompt, answer, [truth[8] ^ 1, truth[9]]) == 0
        assert await verdict_on(stream, prompt, answer, []) == 0
        assert answer.token_ids == truth[:10]
        await stream.send(finish=vpb.GenerateFinish())
        finished = await last(stream)
        assert finished.reason == decoding_pb2.FINISH_REASON_CANCELLED
        await stream.ends()


async def test_a_block_that_does_not_follow_is_answered_by_a_resync(verifier):
    async with verifier.verifier("Verify") as stream:
        prompt, answer = await first_verdict(stream, verifier)
        here = [*prompt, *answer.token_ids]
        for wrong in (block([*here, 40], [40]), block([*here[:-1], here[-1] ^ 1], [40])):
            await stream.send(block=wrong)
            resync = await stream.expect("resync")
            assert (resync.have_position, resync.prefix_hash) == (len(here), hash_of(here))
        await verdict_on(stream, prompt, answer, [40])


async def test_a_block_out_of_the_vocabulary_is_refused(verifier):
    async with verifier.verifier("Verify") as stream:
        prompt, answer = await first_verdict(stream, verifier)
        beyond = [verifier.about.vocab_size]
        await stream.send(block=block([*prompt, *answer.token_ids], beyond))
        assert await stream.failure() is grpc.StatusCode.INVALID_ARGUMENT
    await verifier.forgets()
