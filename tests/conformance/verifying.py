"""What a conformance test says to a verifier, and the rules that every answer has to keep."""

from collections.abc import Sequence

from tests.conformance.streams import Stream, Tier, hash_of
from tiercel.v1 import decoding_pb2, drafter_pb2
from tiercel.v1 import verifier_pb2 as pb

PROMPT = "Tell me of a falcon."


def ask(
    tier: Tier,
    *,
    max_new_tokens: int = 24,
    temperature: float = 0.0,
    acceptance: decoding_pb2.Acceptance | None = None,
    **changes,
):
    """Return the opening of a session, with some fields changed."""
    fields = {
        "request_id": "conformance",
        "plan": decoding_pb2.Plan(tier=tier.about.tier, acceptance=acceptance),
        "prompt": decoding_pb2.Prompt(text=PROMPT),
        "sampling": decoding_pb2.SamplingParams(temperature=temperature, seed=11),
        "stop": decoding_pb2.StopConditions(max_new_tokens=max_new_tokens, ignore_eos=True),
    }
    return pb.GenerateOpen(**(fields | changes))


class Answer:
    """The tokens, text and end of one answer, each committed message checked."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.text = ""

    def take(self, committed: decoding_pb2.Committed) -> None:
        """Add what was committed; it must follow what was before."""
        assert committed.position == len(self.token_ids)
        assert sum(span.num_tokens for span in committed.spans) == len(committed.token_ids)
        self.token_ids += committed.token_ids
        self.text += committed.text


async def answer_of(stream: Stream, tier: Tier, **changes) -> tuple[Answer, decoding_pb2.Finished]:
    """Return a whole answer: opened, any number of committed, finished, and nothing after."""
    await stream.send(open=ask(tier, **changes))
    opened = await stream.expect("opened")
    assert (opened.tier, opened.numerics_id) == (tier.about.tier, tier.about.numerics_id)
    assert opened.prompt.tokenizer_fingerprint == tier.about.tokenizer_fingerprint
    answer = Answer()
    while (message := await stream.next())[0] == "committed":
        answer.take(message[1])
    kind, finished = message
    assert kind == "finished"
    assert finished.usage.num_completion_tokens == len(answer.token_ids)
    assert finished.usage.num_prompt_tokens == len(opened.prompt.token_ids)
    await stream.ends()
    return answer, finished


def block(sequence: Sequence[int], token_ids: Sequence[int]) -> drafter_pb2.DraftBlock:
    """Return a block that follows `sequence`."""
    spans = [decoding_pb2.Span(tier="outside", num_tokens=len(token_ids))] if token_ids else []
    return drafter_pb2.DraftBlock(
        start_position=len(sequence),
        token_ids=token_ids,
        prefix_hash=hash_of(sequence),
        spans=spans,
    )


async def first_verdict(stream: Stream, tier: Tier, **changes) -> tuple[list[int], Answer]:
    """Open a Verify stream; return the prompt's ids and the answer with its first token."""
    await stream.send(open=ask(tier, **changes))
    opened = await stream.expect("opened")
    verdict, answer = await stream.expect("verdict"), Answer()
    answer.take(verdict.committed)
    assert verdict.num_accepted == 0
    assert len(answer.token_ids) == 1
    return list(opened.prompt.token_ids), answer


async def verdict_on(
    stream: Stream, prompt: Sequence[int], answer: Answer, draft: Sequence[int]
) -> int:
    """Send a draft; return how much of it stood. The committed tokens join the answer."""
    await stream.send(block=block([*prompt, *answer.token_ids], draft))
    verdict = await stream.expect("verdict")
    num_accepted = verdict.num_accepted
    assert list(verdict.committed.token_ids[:num_accepted]) == list(draft[:num_accepted])
    assert len(verdict.committed.token_ids) <= num_accepted + 1
    answer.take(verdict.committed)
    return num_accepted


async def last(stream: Stream) -> decoding_pb2.Finished:
    """Return the end of an answer, whatever is still committed before."""
    while (message := await stream.next())[0] in ("committed", "verdict"):
        pass
    kind, finished = message
    assert kind == "finished"
    return finished
