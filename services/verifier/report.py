"""How a session ended and what it used, put together at its end."""

import time
from dataclasses import replace

from services.verifier.answer import Answer
from services.verifier.rule_count import RuleCount
from tiercel import telemetry
from tiercel.replies import Committed
from tiercel.sessions import SessionEnd
from tiercel.speculation.decoder import Decoder, Progress
from tiercel.types import FinishReason, TierStats, Usage


class Report:
    """Watches one session's clock and writes its end."""

    def __init__(self, tier: str, num_prompt_tokens: int) -> None:
        self._tier, self._num_prompt_tokens = tier, num_prompt_tokens
        self._began = time.monotonic()
        self._first_token_s = 0.0
        self._rule = RuleCount(tier)

    def committed(self, progress: Progress, committed: Committed) -> None:
        """Note what a step brought, and what of it is part of the answer."""
        self._rule.judged(progress.verified, len(committed.token_ids))
        if not self._first_token_s:
            self._first_token_s = time.monotonic() - self._began
            telemetry.time_to_first_token.labels(self._tier).observe(self._first_token_s)

    def finished(self, reason: FinishReason, answer: Answer, decoder: Decoder) -> SessionEnd:
        """Return the end, and count the session as ended."""
        telemetry.num_requests.labels(self._tier, reason.value).inc()
        pairs, tiers = decoder.stats()
        usage = Usage(
            num_prompt_tokens=self._num_prompt_tokens,
            num_completion_tokens=answer.num_tokens,
            pairs=tuple(pairs),
            tiers=_with_tokens(tiers, answer.num_by_tier),
            time_to_first_token_s=self._first_token_s,
            total_s=time.monotonic() - self._began,
        )
        return SessionEnd(reason, usage, answer.stop_string, self._rule.use)


def _with_tokens(tiers: list[TierStats], num_by_tier: dict[str, int]) -> tuple[TierStats, ...]:
    """Return `tiers` with their shares of the answer; a tier without a model gets a row too."""
    told = [replace(stats, num_committed_tokens=num_by_tier.get(stats.tier, 0)) for stats in tiers]
    silent = num_by_tier.keys() - {stats.tier for stats in tiers}
    rows = [TierStats(name, num_committed_tokens=num_by_tier[name]) for name in sorted(silent)]
    return (*told, *rows)
