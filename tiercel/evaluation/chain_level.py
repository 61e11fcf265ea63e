"""One tier of a chain at work on one sequence, with the tiers below it: pure loops over logits.

What a session of the services does with a drafter that is always asked and always there in time:
two tokens by itself, then block after block, each behind the committed tokens. No clock is read,
so the same request gives the same tokens whatever runs beside it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np

from tiercel.decoding import (
    MAX_SUPPORT,
    CosdTree,
    Draft,
    Randomness,
    Target,
    TokenDistribution,
    Verdict,
    Vocabulary,
    evidence_for,
    logprobs,
    verify,
)
from tiercel.engines.language_model import LanguageModel, Logits
from tiercel.evaluation.chain_replay import NUM_PLAIN
from tiercel.evaluation.fusion.reading import Reader, Reading
from tiercel.rules import rule_at
from tiercel.types import Acceptance, Evidence, SamplingParams

# Of a long prompt, so many tokens go into one pass.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class ChainTier:
    """A tier, the rule it judges by, and how many tokens it drafts in a block for the one above."""

    name: str
    model: LanguageModel
    vocabulary: Vocabulary
    acceptance: Acceptance
    num_speculative_tokens: int = 0
    tree: CosdTree | None = None


@dataclass(frozen=True)
class Ask:
    """What is to be continued, how, and what ends it."""

    prompt_ids: tuple[int, ...]
    params: SamplingParams
    ends: frozenset[int]


@dataclass(frozen=True, eq=False)
class Committed:
    """What a step added: tokens, each drawn from its row of `logits`."""

    token_ids: tuple[int, ...]
    logits: Logits
    verdict: Verdict
    draft: Draft  # for the tier above: the tokens with what it asked for


@dataclass
class Work:
    """What one tier did for one sequence."""

    passes: Counter[int] = field(default_factory=Counter)  # after the prompt, by their tokens
    num_drafted: int = 0  # tokens of its drafter's that it had
    num_accepted: int = 0


class ChainLevel:
    """A tier and all below it, following one sequence."""

    def __init__(
        self, tiers: Sequence[ChainTier], ask: Ask, asked: Evidence = Evidence.NONE
    ) -> None:
        """`tiers` are this one and those below; the tier above wants to know `asked`."""
        self.tier, *below = tiers
        self.tokens = list(ask.prompt_ids)
        self.work = Work()
        self._ask, self._asked = ask, asked
        self._rule = rule_at(self.tier.acceptance, asked)
        needed = evidence_for(self._rule, ask.params)
        self.drafter = ChainLevel(below, ask, needed) if below else None
        self._reader = Reader(self.tier.model)
        self._randomness = Randomness.of(ask.params.seed, self.tier.name, "column")
        self._runs = count()
        self._num_steps = 0

    @property
    def num_generated(self) -> int:
        """Tokens after the prompt."""
        return len(self.tokens) - len(self._ask.prompt_ids)

    @property
    def levels(self) -> "list[ChainLevel]":
        """This one and those below, in order."""
        return [self, *(self.drafter.levels if self.drafter else ())]

    @property
    def seconds(self) -> float:
        """Its share of the passes that this tier took part in."""
        return self._reader.seconds

    def step(self, limit: int) -> Reading[Committed]:
        """Add at least one and at most `limit` tokens; nothing stands behind an end."""
        draft = Draft()
        if self.drafter is not None and self._num_steps >= NUM_PLAIN:
            most = min(limit - 1, self.drafter.tier.num_speculative_tokens)
            if most > 0:
                draft = yield from self.drafter.drafted(self.tokens, most)
        self._num_steps += 1
        logits = yield from self._rows(draft)
        target = self._target(logits)
        run = self._randomness.run(next(self._runs))
        verdict = verify(self._rule, draft, target, run, self.tier.tree)
        token_ids = self._up_to_end(verdict.committed(draft.token_ids))
        self.tokens += token_ids
        self.work.num_drafted += len(draft)
        self.work.num_accepted += verdict.num_accepted
        return Committed(token_ids, logits, verdict, self._as_draft(token_ids, target))

    def drafted(self, tokens: Sequence[int], most: int) -> Reading[Draft]:
        """Return up to `most` tokens that may follow `tokens`, fewer where one is an end."""
        self._follow(tokens)
        parts = list[Draft]()
        while (left := most - sum(map(len, parts))) > 0 and self.tokens[-1] not in self._ask.ends:
            parts.append((yield from self.step(left)).draft)
        return _joined(parts)

    def close(self) -> None:
        """Give the caches back, here and below."""
        for level in self.levels:
            level._reader.close()

    def _follow(self, tokens: Sequence[int]) -> None:
        """Take over what the tier above has committed."""
        pairs = zip(self.tokens, tokens, strict=False)
        same = next((at for at, (ours, true) in enumerate(pairs) if ours != true), len(self.tokens))
        self._reader.cut(min(same, len(tokens)))
        self.tokens = list(tokens)

    def _rows(self, draft: Draft) -> Reading[Logits]:
        """Return the logits behind the sequence and behind each token of the draft."""
        sequence, num_prompt = [*self.tokens, *draft.token_ids], len(self._ask.prompt_ids)
        while (left := num_prompt - self._reader.length) > 0:
            piece = sequence[: self._reader.length + min(left, _CHUNK)]
            is_all = len(piece) == len(sequence)
            rows = yield from self._reader.read(piece, int(is_all))
            if is_all:
                return rows
        # What was rejected goes; and the last token goes in again where it was read as a draft's.
        self._reader.cut(len(self.tokens) - 1)
        self.work.passes[len(sequence) - self._reader.length] += 1
        return (yield from self._reader.read(sequence, len(draft) + 1))

    def _target(self, logits: Logits) -> Target:
        generated = self.tokens[len(self._ask.prompt_ids) :]
        offset = self.tier.vocabulary.advance(0, generated)
        support = MAX_SUPPORT if self._asked is Evidence.DISTRIBUTIONS else 0
        return Target(logits, self._ask.params, self.tier.vocabulary, offset, support)

    def _up_to_end(self, token_ids: tuple[int, ...]) -> tuple[int, ...]:
        for place, token_id in enumerate(token_ids):
            if token_id in self._ask.ends:
                return token_ids[: place + 1]
        return token_ids

    def _as_draft(self, token_ids: tuple[int, ...], target: Target) -> Draft:
        if self._asked is Evidence.NONE:
            return Draft(token_ids)
        rows = zip(target.logits, token_ids, strict=False)
        # In single precision, as on the wire.
        known = (np.exp(logprobs(row, token_id, 0).logprob) for row, token_id in rows)
        probs = tuple(float(np.float32(prob)) for prob in known)
        if self._asked is Evidence.PROBS:
            return Draft(token_ids, probs)
        drawn = tuple(target.distribution(place) for place in range(len(token_ids)))
        return Draft(token_ids, probs, drawn)


def _joined(parts: Sequence[Draft]) -> Draft:
    probs = [prob for part in parts for prob in part.probs or ()]
    drawn: list[TokenDistribution] = [one for part in parts for one in part.distributions or ()]
    token_ids = tuple(token_id for part in parts for token_id in part.token_ids)
    is_known, is_told = len(probs) == len(token_ids), len(drawn) == len(token_ids)
    return Draft(token_ids, tuple(probs) if is_known else None, tuple(drawn) if is_told else None)
