"""What looks at everything learned whenever it changed, and acts where it must."""

from typing import Protocol

from services.feedback.cells import Snapshot


class Guard(Protocol):
    """Looks at a snapshot. The store may be away by then, which is no error."""

    async def check(self, snapshot: Snapshot) -> None:
        """Act, if there is cause to."""
        ...


class Guards:
    """Several of them, one after the other."""

    def __init__(self, *guards: Guard) -> None:
        self._guards = guards

    async def check(self, snapshot: Snapshot) -> None:
        """Have each look at the snapshot."""
        for guard in self._guards:
            await guard.check(snapshot)
