"""How long an answer may still take."""

import asyncio
import time

from tiercel.errors import DeadlineExceeded

# Of the time left, what each hop keeps to tell its caller that time is up.
_MARGIN_SHARE, _MAX_MARGIN_S = 0.1, 0.5


class TimeLeft:
    """Until a deadline, on the event loop's clock."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    @property
    def left_s(self) -> float:
        """Seconds until then, 0 after it."""
        return max(0.0, self._deadline - time.monotonic())

    def for_root_s(self) -> float:
        """Return the seconds that a root gets. Raises DeadlineExceeded."""
        self.check()
        return self.left_s - min(_MARGIN_SHARE * self.left_s, _MAX_MARGIN_S)

    def check(self) -> None:
        """Raise DeadlineExceeded if time is up."""
        if self.left_s == 0:
            raise DeadlineExceeded("the request's time is up")

    async def sleep(self, wait_s: float) -> None:
        """Sleep, but no longer than until the deadline: what is left of it is for the caller."""
        await asyncio.sleep(min(wait_s, self.left_s))
