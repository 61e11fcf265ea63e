"""A column of several tiers: they decode together, inside this process, many answers at once."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from tiercel.errors import InvalidRequest
from tiercel.evaluation.chain_level import Ask, ChainLevel, ChainTier, Committed
from tiercel.evaluation.evidence import Evidence
from tiercel.evaluation.fusion.reading import Reading, run
from tiercel.evaluation.generation import Generated, Request
from tiercel.evaluation.step_cost import PROMPT_TOKENS, pass_count
from tiercel.tokenizer import Tokenizer
from tiercel.types import FinishReason

Key = TypeVar("Key")


class ChainDecoder:
    """A chain of tiers of one tokenizer, the root first; the models stay the caller's."""

    def __init__(self, tiers: Sequence[ChainTier], tokenizer: Tokenizer, batch: int) -> None:
        """Decode up to `batch` answers at a time: those that wait for one tier share a pass."""
        described = [tier.model.description for tier in tiers]
        self.tokenizer = tokenizer
        self.numerics_id = "+".join(one.numerics_id for one in described)
        self.max_length = min(one.max_length for one in described)
        self._tiers, self._batch = tuple(tiers), batch

    def run(self, requests: Iterable[tuple[Key, Request]]) -> Iterator[tuple[Key, Generated]]:
        """Yield each request's key and answer as they end; requests are taken as there is room.

        Raises InvalidRequest for one that asks for a choice: a single token needs no drafter.
        """
        return run(((key, self._answer(request)) for key, request in requests), self._batch)

    def _answer(self, request: Request) -> Reading[Generated]:
        if request.choices:
            raise InvalidRequest("choices", len(request.choices), "are read from one tier alone")
        ask = Ask(request.prompt_ids, request.params, self.tokenizer.eos_ids)
        root, evidence, told = ChainLevel(self._tiers, ask), Evidence(), Divergences()
        try:
            while (left := request.max_new_tokens - root.num_generated) > 0:
                step = yield from root.step(left)
                for row, token_id in zip(step.logits, step.token_ids, strict=False):
                    evidence.add(row, token_id)
                told.note(step)
                if step.token_ids[-1] in ask.ends:
                    break
            return self._generated(root, ask, evidence, told)
        finally:
            root.close()

    def _generated(
        self, root: ChainLevel, ask: Ask, evidence: Evidence, told: "Divergences"
    ) -> Generated:
        token_ids = tuple(root.tokens[len(ask.prompt_ids) :])
        has_stopped = token_ids[-1] in ask.ends
        counts = {name: count for level in root.levels for name, count in _work(level, ask)}
        counts |= {f"compared.{root.tier.name}": told.num_compared}
        counts |= {f"divergent.{root.tier.name}": told.num_divergent}
        return Generated(
            token_ids=token_ids,
            finish=FinishReason.STOP_TOKEN if has_stopped else FinishReason.LENGTH,
            evidence=evidence,
            choice_logprobs=[],
            counts=counts,
            seconds=sum(level.seconds for level in root.levels),
        )


class Divergences:
    """Counts the tokens of an answer that EXACT would have refused, of those that were compared."""

    def __init__(self) -> None:
        self.num_compared = self.num_divergent = 0

    def note(self, step: Committed) -> None:
        """Take in a step; a token that would have followed an end does not count."""
        self.num_compared += min(len(step.token_ids), step.verdict.num_compared)
        self.num_divergent += len(step.verdict.divergences)


def _work(level: ChainLevel, ask: Ask) -> Iterator[tuple[str, int]]:
    """Yield what a tier did, by the names of counts; drafts are counted under the drafter's."""
    name = level.tier.name
    yield pass_count(1, name), level.work.passes[1]
    for width, count in sorted(level.work.passes.items()):
        if width > 1:
            yield pass_count(width, name), count
    yield f"{PROMPT_TOKENS}.{name}", len(ask.prompt_ids)
    if level.drafter is not None:
        yield f"drafted.{level.drafter.tier.name}", level.work.num_drafted
        yield f"accepted.{level.drafter.tier.name}", level.work.num_accepted
