"""Which acceptance rules there may be, where in a plan they may stand, which is the stricter."""

from dataclasses import dataclass, replace

from tiercel.decoding import RULES, Claim, in_force, may_lie_below
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.types import Acceptance, Evidence, Plan, Rule

MIN_AGREEING = 2
NOTHING_TO_LEARN = "only a lossy rule has a strictness to learn"
# Under these no token stands to which the target gives no probability. The others may take a draft
# token on the drafter's word, and masking the target's logits is no help then.
_JUDGED_BY_TARGET = {
    Rule.EXACT,
    Rule.REJECTION,
    Rule.BLOCK,
    Rule.LENIENT,
    Rule.TYPICAL,
    Rule.RELAXED,
}
_STRICTER = [Claim.LOSSY, Claim.SAME_DISTRIBUTION, Claim.SAME_TOKENS]


@dataclass(frozen=True)
class RuleUse:
    """What the root's rule did to an answer, beside what EXACT would have done."""

    rule: Rule
    strictness: float  # the least that was in force
    num_compared_tokens: int = 0
    num_divergent_tokens: int = 0  # of these, that EXACT would have refused
    logprob_gap: float = 0.0  # summed over these: EXACT's token's less the token's own, nats
    num_unjudged_tokens: int = 0  # that stand without the target's judgement

    @property
    def divergence(self) -> float | None:
        """Return the share of compared tokens that EXACT would have refused, None without any."""
        compared = self.num_compared_tokens
        return self.num_divergent_tokens / compared if compared else None


def check_acceptance(acceptance: Acceptance) -> None:
    """Raise InvalidRequest for a rule with a number that it cannot have."""
    rule, strictness, number = acceptance.rule, acceptance.strictness, acceptance.num_agreeing
    if not 0.0 <= strictness <= 1.0:  # NaN too
        raise InvalidRequest("acceptance.strictness", strictness, "must be in [0, 1]")
    if acceptance.learned and not is_lossy(rule):
        raise InvalidRequest("acceptance.learned", rule.value, NOTHING_TO_LEARN)
    if not is_lossy(rule) and strictness != 1.0:
        raise InvalidRequest("acceptance.strictness", strictness, f"{rule.value} has strictness 1")
    if rule is not Rule.AGREEMENT and number != Acceptance.num_agreeing:
        why = f"{rule.value} counts no drafters that agree"
        raise InvalidRequest("acceptance.num_agreeing", number, why)
    if number < MIN_AGREEING:
        raise InvalidRequest("acceptance.num_agreeing", number, f"must be at least {MIN_AGREEING}")


def is_lossy(rule: Rule) -> bool:
    """Return whether a rule may change what the target would say."""
    return RULES[rule].claim is Claim.LOSSY


def bears_constraints(acceptance: Acceptance) -> bool:
    """Return whether an answer under a rule can be held to a constraint."""
    return in_force(acceptance) in _JUDGED_BY_TARGET


def rule_at(acceptance: Acceptance, asked: Evidence) -> Acceptance:
    """Return the rule by which a tier judges when its own parent asks for such evidence.

    Who sends the distributions that its tokens are drawn from draws with noise of its own: there
    is no token of plain decoding to be equal to, and EXACT means exact in distribution.
    """
    if asked is Evidence.DISTRIBUTIONS and in_force(acceptance) is Rule.EXACT:
        return Acceptance(Rule.REJECTION)
    return acceptance


def check_rules(plan: Plan, asked: Evidence = Evidence.NONE) -> None:
    """Raise PlanRefused for a tier with a rule that the tier above it does not bear.

    `asked` is what the plan's root has to say of its own tokens, being a drafter itself.
    """
    rule = rule_at(plan.acceptance, asked)
    asks_all = asked is Evidence.DISTRIBUTIONS
    if asks_all and plan.drafters and not may_lie_below(rule, Acceptance(Rule.REJECTION)):
        raise PlanRefused(
            f"tier {plan.tier!r} judges by {rule.rule.value}, but the tier above it has to know"
            " what its tokens are drawn from: only exact, rejection and block can say that"
        )
    for drafter in plan.drafters:
        check_rules(drafter, RULES[in_force(rule)].evidence)


def check_not_laxer(new: Acceptance, allowed: Acceptance) -> None:
    """Raise PlanRefused for a rule that may keep what the allowed one would refuse."""
    if not _is_as_strict(new, allowed):
        raise PlanRefused(
            f"{new.rule.value} at strictness {new.strictness:g} is laxer than what was allowed,"
            f" {allowed.rule.value} at {allowed.strictness:g}"
        )


def _is_as_strict(new: Acceptance, allowed: Acceptance) -> bool:
    ours, theirs = (_STRICTER.index(RULES[in_force(one)].claim) for one in (new, allowed))
    if ours != theirs or ours > 0:
        return ours >= theirs
    # Two lossy rules keep different tokens: only with itself can one be compared.
    same = replace(new, strictness=allowed.strictness, num_agreeing=allowed.num_agreeing)
    is_same = same == allowed
    return (
        is_same
        and new.strictness >= allowed.strictness
        and new.num_agreeing >= allowed.num_agreeing
    )
