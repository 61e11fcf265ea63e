"""What the passes of one session took: prefill apart from decoding."""

from tiercel.types import TierStats


class PassTimes:
    """Adds up the passes of one session behind `num_prompt_tokens`."""

    def __init__(self, num_prompt_tokens: int) -> None:
        self._num_prompt_tokens = num_prompt_tokens
        self._num_passes, self._prefill_s, self._compute_s = 0, 0.0, 0.0

    def note(self, start: int, seconds: float) -> None:
        """Note the time of a turn that began at position `start`."""
        if start < self._num_prompt_tokens - 1:
            self._prefill_s += seconds
        else:
            self._compute_s += seconds

    def counted(self) -> None:
        """Count a turn whose tokens became the sequence's."""
        self._num_passes += 1

    def stats(self, tier: str, num_adopted: int) -> TierStats:
        """Return what was done so far; `num_adopted` tokens came from another cache."""
        return TierStats(
            tier=tier,
            num_forward_passes=self._num_passes,
            num_prompt_tokens=self._num_prompt_tokens,
            num_cached_prompt_tokens=min(num_adopted, self._num_prompt_tokens),
            prefill_s=self._prefill_s,
            compute_s=self._compute_s,
        )
