"""One request to the router."""

from dataclasses import dataclass

from tiercel.sessions import Ask, Objective


@dataclass(frozen=True)
class Call:
    """What is asked, what is wanted, and until when."""

    ask: Ask
    objective: Objective
    kind: str
    session_id: str
    deadline: float  # on the event loop's clock
    arrived: float  # on the same clock
    num_outstanding: int = 0  # requests that were open at the root when it was chosen
