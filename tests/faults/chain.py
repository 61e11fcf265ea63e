"""Three tiers in three processes, all of one simulated model that agrees with itself at times."""

from contextlib import ExitStack

from tests.faults.services import HEARTBEAT_S, ServiceProcess, start_simulated
from tiercel.types import Plan

MANY = 8000  # tokens: more than a test reads; it ends the answer when it has seen enough


class Chain:
    """root <- middle <- leaf; drafters are always asked, whether or not they pay."""

    def __init__(self, stack: ExitStack, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        common = {"always_draft": True, "heartbeat_s": heartbeat_s}
        self.root = start_simulated(stack, "root", "m?base_s=0.015", **common)
        self.middle = start_simulated(stack, "middle", "m?base_s=0.002&acceptance=0.9", **common)
        self.leaf = start_simulated(stack, "leaf", "m?base_s=0.001&acceptance=0.8", **common)

    @property
    def services(self) -> tuple[ServiceProcess, ServiceProcess, ServiceProcess]:
        return self.root, self.middle, self.leaf

    async def ready(self) -> None:
        """Wait until all three take work."""
        for service in self.services:
            await service.ready()

    @property
    def plan(self) -> Plan:
        return self.plan_over(self.middle.address)

    def plan_over(self, middle_address: str) -> Plan:
        """Return the plan of the chain whose root reaches the middle at another address."""
        leaf = Plan("leaf", self.leaf.address)
        return Plan("root", drafters=(Plan("middle", middle_address, drafters=(leaf,)),))

    def service(self, tier: str) -> ServiceProcess:
        """Return the process of a drafting tier."""
        return {"middle": self.middle, "leaf": self.leaf}[tier]
