"""What the root's rule did to one answer, counted token by token against what EXACT would give."""

from dataclasses import replace

from tiercel import telemetry
from tiercel.decoding import in_force
from tiercel.rules import RuleUse
from tiercel.speculation.judging import Verified
from tiercel.types import Rule


class RuleCount:
    """Adds up the verdicts of one session; `use` is None as long as EXACT alone has judged."""

    def __init__(self, tier: str) -> None:
        self.use: RuleUse | None = None
        self._tier = tier

    def judged(self, verified: Verified, num_tokens: int) -> None:
        """Note a verdict of whose tokens the first `num_tokens` are part of the answer."""
        acceptance, verdict = verified.acceptance, verified.verdict
        if in_force(acceptance) is Rule.EXACT:
            return
        use = self.use or RuleUse(acceptance.rule, acceptance.strictness)
        seen = verified.seen  # what stood unjudged before, and is part of the answer
        kept = [one for one in verdict.divergences if one.index < num_tokens]
        kept += seen.divergences if seen else ()
        num_compared = min(verdict.num_compared, num_tokens) + (seen.num_compared if seen else 0)
        num_unjudged = min(verdict.num_unjudged, num_tokens)
        if acceptance.strictness < use.strictness:
            use = replace(use, rule=acceptance.rule, strictness=acceptance.strictness)
        self.use = replace(
            use,
            num_compared_tokens=use.num_compared_tokens + num_compared,
            num_divergent_tokens=use.num_divergent_tokens + len(kept),
            logprob_gap=use.logprob_gap + sum(one.logprob_gap for one in kept),
            num_unjudged_tokens=use.num_unjudged_tokens + num_unjudged,
        )
        telemetry.count_rule(
            self._tier,
            acceptance.rule.value,
            num_compared=num_compared,
            num_divergent=len(kept),
            num_unjudged=num_unjudged,
        )
