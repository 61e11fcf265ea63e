"""The one table of acceptance rules: what each claims, and what it needs to know of a draft."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tiercel.decoding.agreement import verify_agreement
from tiercel.decoding.cascade import verify_chow, verify_diff, verify_opt, verify_token
from tiercel.decoding.cosd_tree import CosdTree
from tiercel.decoding.draft import Draft, check_draft
from tiercel.decoding.exact import verify_exact
from tiercel.decoding.fusion import verify_cosd_rule, verify_cosd_tree
from tiercel.decoding.lenient import verify_ensemble, verify_lenient
from tiercel.decoding.randomness import Randomness
from tiercel.decoding.siblings import verify_siblings
from tiercel.decoding.speculative import verify_block, verify_rejection
from tiercel.decoding.target import Target
from tiercel.decoding.thresholds import verify_relaxed, verify_typical
from tiercel.decoding.verdict import AcceptanceRule, Leeway, Verdict
from tiercel.types import Acceptance, Evidence, Rule, SamplingParams


class Claim(Enum):
    """What a rule promises of the tokens that it commits."""

    SAME_TOKENS = "same tokens"  # as plain decoding with the same seed
    SAME_DISTRIBUTION = "same distribution"  # as plain decoding
    LOSSY = "lossy"  # neither; the divergence is reported


@dataclass(frozen=True)
class RuleEntry:
    """One acceptance rule."""

    judge: AcceptanceRule
    claim: Claim
    evidence: Evidence  # what it needs of a draft that is sampled
    greedy_evidence: Evidence = Evidence.NONE  # and at temperature 0


def _towards(judge: AcceptanceRule, greedy: Evidence = Evidence.NONE) -> RuleEntry:
    return RuleEntry(judge, Claim.LOSSY, Evidence.DISTRIBUTIONS, greedy)


def _lossy(judge: AcceptanceRule, evidence: Evidence = Evidence.NONE) -> RuleEntry:
    return RuleEntry(judge, Claim.LOSSY, evidence, evidence)


_SAME = Claim.SAME_DISTRIBUTION

RULES: dict[Rule, RuleEntry] = {
    Rule.EXACT: RuleEntry(verify_exact, Claim.SAME_TOKENS, Evidence.NONE),
    Rule.REJECTION: RuleEntry(verify_rejection, _SAME, Evidence.DISTRIBUTIONS),
    Rule.BLOCK: RuleEntry(verify_block, _SAME, Evidence.DISTRIBUTIONS),
    Rule.ENSEMBLE: _towards(verify_ensemble),
    Rule.LENIENT: _towards(verify_lenient),
    Rule.TYPICAL: _lossy(verify_typical),
    Rule.RELAXED: _lossy(verify_relaxed),
    Rule.CASCADE_CHOW: _towards(verify_chow, Evidence.PROBS),
    Rule.CASCADE_DIFF: _towards(verify_diff, Evidence.PROBS),
    Rule.CASCADE_OPT: _towards(verify_opt, Evidence.PROBS),
    Rule.CASCADE_TOKEN: _towards(verify_token),
    Rule.AGREEMENT: _lossy(verify_agreement, Evidence.PROBS),
    Rule.COSD_RULE: _lossy(verify_cosd_rule, Evidence.PROBS),
    Rule.COSD_TREE: _lossy(verify_cosd_tree, Evidence.PROBS),
}


def in_force(acceptance: Acceptance) -> Rule:
    """Return the rule that judges: EXACT for a lossy one at strictness 1."""
    is_lossy = RULES[acceptance.rule].claim is Claim.LOSSY
    return Rule.EXACT if is_lossy and acceptance.strictness == 1 else acceptance.rule


def evidence_for(acceptance: Acceptance, params: SamplingParams) -> Evidence:
    """Return what a parent has to ask of its drafters."""
    entry = RULES[in_force(acceptance)]
    return entry.evidence if params.temperature > 0 else entry.greedy_evidence


def may_lie_below(inner: Acceptance, above: Acceptance) -> bool:
    """Return whether a tier that judges by `inner` may draft for one that judges by `above`.

    A rule that asks for distributions needs tokens that were drawn from what is sent, so the tier
    below has to be exact towards that very distribution (`Target.support`). Any other takes what
    comes.
    """
    if RULES[in_force(above)].evidence is not Evidence.DISTRIBUTIONS:
        return True
    return RULES[in_force(inner)].claim is Claim.SAME_DISTRIBUTION


def may_judge_together(acceptance: Acceptance, params: SamplingParams) -> bool:
    """Return whether several drafters' drafts for one place may be judged together.

    Not by a rule that throws coins for each draft by itself, unless it knows of the others: to take
    the one that stands furthest would favour some tokens.
    """
    rule = in_force(acceptance)
    if RULES[rule].claim is Claim.SAME_DISTRIBUTION:
        return rule is Rule.REJECTION or params.temperature == 0
    return RULES[rule].evidence is not Evidence.DISTRIBUTIONS


def judge_together(
    rule: Rule, drafts: Sequence[Draft], targets: Sequence[Target], leeway: Leeway
) -> tuple[int, Verdict]:
    """Return which of several drafts stands furthest, the first of equals, and what becomes of it.

    Each has a target of its own. Raises as the rule does.
    """
    if rule is Rule.REJECTION and len(drafts) > 1:
        return verify_siblings(drafts, targets, leeway)
    pairs = zip(drafts, targets, strict=True)
    verdicts = [RULES[rule].judge(draft, target, leeway) for draft, target in pairs]
    furthest = max(range(len(verdicts)), key=lambda number: verdicts[number].num_accepted)
    return furthest, verdicts[furthest]


def verify(
    acceptance: Acceptance,
    draft: Draft,
    target: Target,
    randomness: Randomness,
    tree: CosdTree | None = None,
) -> Verdict:
    """Judge a draft by a rule of `RULES`.

    `randomness` is a fresh run of a source of the tier's own (see `randomness`); `tree` is what
    COSD_TREE judges by. Raises ModelFault for logits of a wrong shape, NaN, or nothing finite in a
    row that is read, and InvalidRequest for probabilities that no honest peer sends.
    """
    if draft.probs is not None or draft.distributions is not None:
        check_draft(draft, len(target.vocabulary))
    leeway = Leeway(acceptance.strictness, randomness, acceptance.num_agreeing, tree)
    return RULES[in_force(acceptance)].judge(draft, target, leeway)
