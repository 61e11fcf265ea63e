"""A limit on each of many waits: one timer for all of them, moved only when it rings."""

import asyncio
from types import TracebackType


class Patience:
    """`with patience:` around an await raises TimeoutError when that takes too long.

    As asyncio.timeout, for a task that waits again and again: that one sets and takes back a timer
    for every wait, which costs more than most messages take. One wait at a time.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None  # that waits now
        self._began = 0.0
        self._num_cancelling = 0  # requests to cancel the task that are not ours
        self._is_over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task, self._began = asyncio.current_task(), loop.time()
        assert self._task is not None, "only a task can wait"
        self._num_cancelling = self._task.cancelling()
        if self._timer is None:
            self._timer = loop.call_at(self._began + self._longest_s, self._ring)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._is_over:
            return
        self._is_over = False
        assert task is not None
        # Somebody else may have cancelled the task as well: that one is not ours to swallow.
        if task.uncancel() <= self._num_cancelling and exc_type is asyncio.CancelledError:
            raise TimeoutError from exc

    def close(self) -> None:
        """Take the timer back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        loop = asyncio.get_running_loop()
        due = self._began + self._longest_s
        if loop.time() < due:
            self._timer = loop.call_at(due, self._ring)
        else:
            self._is_over = True
            self._task.cancel()
