"""What becomes of a draft: the rule in force judges it, and what others want to know is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from tiercel.decoding import (
    MAX_SUPPORT,
    AgreementTable,
    CosdTree,
    Draft,
    Randomness,
    Target,
    TokenDistribution,
    Verdict,
    Vocabulary,
    evidence_for,
    in_force,
    judge_together,
    logprobs,
    may_judge_together,
    total_variation,
)
from tiercel.decoding.uncertainty import uncertainty
from tiercel.decoding.verdict import Leeway
from tiercel.engines.language_model import Logits
from tiercel.replies import TokenEvidence
from tiercel.rules import rule_at
from tiercel.speculation import link
from tiercel.types import Acceptance, Evidence, SamplingParams, TokenLogprob

# Positions of a block at which two distributions are compared: each costs what judging it costs.
_MOST_COMPARED = 4


@dataclass(frozen=True)
class Terms:
    """What a session is to decode and how."""

    num_prompt_tokens: int
    params: SamplingParams
    acceptance: Acceptance = field(default_factory=Acceptance)
    names: tuple[str, ...] = ()  # tell the session's random numbers from those of all others
    asked: Evidence = Evidence.NONE  # what the session's own parent wants to know of each token
    support: int = MAX_SUPPORT  # tokens of a distribution that are sent to that parent
    tree: CosdTree | None = None  # that COSD_TREE judges by
    measures: bool = False  # how sure the model is of each token
    calibration: AgreementTable | None = None  # that AGREEMENT goes by
    kind: str = ""  # of request, in the caller's words

    @property
    def rule(self) -> Acceptance:
        """The rule that judges, with what the parent asks for in mind."""
        return rule_at(self.acceptance, self.asked)

    @property
    def evidence(self) -> Evidence:
        """What the rule needs to know of a draft."""
        return evidence_for(self.rule, self.params)

    @property
    def takes_trees(self) -> bool:
        """Whether the rule judges several drafts of one place together."""
        return may_judge_together(self.rule, self.params)

    def target(self, logits: Logits, vocabulary: Vocabulary, offset: int) -> Target:
        """Return what a draft is held against: what is sent up, if that has to be known."""
        support = self.support if self.asked is Evidence.DISTRIBUTIONS else 0
        return Target(logits, self.params, vocabulary, offset, support)


@dataclass(frozen=True)
class Likeness:
    """How far two models' distributions lay apart, over some positions."""

    num_compared: int = 0
    total_variation: float = 0.0  # summed

    def __add__(self, other: "Likeness") -> "Likeness":
        """Return both together."""
        count = self.num_compared + other.num_compared
        return Likeness(count, self.total_variation + other.total_variation)


@dataclass(frozen=True)
class Verified:
    """What a pass added to the sequence: the accepted draft tokens and the one that follows."""

    token_ids: tuple[int, ...]
    verdict: Verdict
    acceptance: Acceptance  # by which it was judged
    logprobs: tuple[TokenLogprob, ...] = ()
    evidence: tuple[TokenEvidence, ...] = ()  # one for each token, if that is measured
    likeness: Likeness = Likeness()  # of this model and that of the draft that was proposed
    # One for each token, if the session's parent asked for it.
    probs: tuple[float, ...] | None = None
    distributions: tuple[TokenDistribution, ...] | None = None
    compute_s: float = 0.0  # of the passes, which other sessions may have shared
    proposed: link.Draft = link.NO_DRAFT  # what was judged, with who said so
    kept: tuple[int, ...] = ()  # the places of what stands of it, of all that was drafted
    # What EXACT says of the tokens before these that stood unjudged, now that a pass has seen them.
    seen: Verdict | None = None

    @property
    def num_accepted(self) -> int:
        """How many of the tokens are the draft's."""
        return self.verdict.num_accepted

    def num_accepted_of(self, draft: link.Draft) -> int:
        """Return how many of the tokens are those of a draft, of this or of another drafter."""
        if draft is self.proposed:
            return self.num_accepted
        agreeing = takewhile(
            lambda pair: pair[0] == pair[1], zip(draft.token_ids, self.token_ids, strict=False)
        )
        return sum(1 for _ in agreeing)


def judge(
    terms: Terms,
    drafts: Sequence[Draft],
    targets: Sequence[Target],
    randomness: Randomness,
    num_top_logprobs: int | None,
) -> tuple[int, Verified]:
    """Return which draft stands furthest, what stands of it, and what follows it.

    Each draft has a target of its own, and whoever brought it has checked it. Raises ModelFault for
    logits that are none.
    """
    leeway = Leeway(terms.rule.strictness, randomness, terms.rule.num_agreeing, terms.tree)
    number, verdict = judge_together(in_force(terms.rule), drafts, targets, leeway)
    draft, target = drafts[number], targets[number]
    token_ids = verdict.committed(draft.token_ids)
    verified = Verified(
        token_ids=token_ids,
        verdict=verdict,
        acceptance=terms.rule,
        logprobs=_logprobs(target.logits, token_ids, num_top_logprobs),
        evidence=_measured(target.logits, token_ids) if terms.measures else (),
        likeness=_likeness(draft, target, verdict),
    )
    if terms.asked is Evidence.NONE:
        return number, verified
    return number, _with_evidence(verified, terms, target)


def _with_evidence(verified: Verified, terms: Terms, target: Target) -> Verified:
    own = _logprobs(target.logits, verified.token_ids, 0)
    probs = tuple(float(np.exp(entry.logprob)) for entry in own)
    if terms.asked is Evidence.PROBS:
        return replace(verified, probs=probs)
    places = range(len(verified.token_ids))
    distributions = tuple(target.distribution(place) for place in places)
    return replace(verified, probs=probs, distributions=distributions)


def _likeness(draft: Draft, target: Target, verdict: Verdict) -> Likeness:
    """Compare the distributions where the draft's prefix stands, in the first few places."""
    if draft.distributions is None:
        return Likeness()
    count = min(verdict.num_accepted + 1, len(draft), _MOST_COMPARED)
    pairs = ((target.distribution(i), draft.distributions[i]) for i in range(count))
    return Likeness(count, sum(total_variation(*pair) for pair in pairs))


def _logprobs(
    logits: Logits, token_ids: Sequence[int], num_top: int | None
) -> tuple[TokenLogprob, ...]:
    if num_top is None:
        return ()
    rows = zip(logits, token_ids, strict=False)
    return tuple(logprobs(row, token_id, num_top) for row, token_id in rows)


def _measured(logits: Logits, token_ids: Sequence[int]) -> tuple[TokenEvidence, ...]:
    found = []
    for row, entry in zip(logits, _logprobs(logits, token_ids, 0), strict=False):
        sure = uncertainty(row)
        found.append(TokenEvidence(entry.logprob, sure.entropy, sure.margin))
    return tuple(found)
