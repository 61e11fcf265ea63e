"""What a configuration has to be compared: its arms, and the tier whose slow-down hurts."""

from bench.live.phases import ADAPTIVE
from tiercel.cli.supervisor import Supervisor
from tiercel.clients.router import Request
from tiercel.errors import InvalidRequest
from tiercel.plan_text import Outline
from tiercel.tiers import Configuration
from tiercel.types import StopConditions


def arms_of(configuration: Configuration, tokens: int) -> dict[str, Request]:
    """Return the adaptive arm, then every named plan; raises InvalidRequest for another root."""
    stop = StopConditions(max_new_tokens=tokens)
    root = configuration.plans[configuration.default_plan].tier
    for name, outline in configuration.plans.items():
        if outline.tier != root or outline.acceptance is not None:
            raise InvalidRequest("plan", name, f"must give what {root} says, under exact")
    static = {name: Request("", stop=stop, plan=name) for name in configuration.plans}
    return {ADAPTIVE: Request("", stop=stop, policy="fastest"), **static}


def to_slow(configuration: Configuration, best: str) -> str:
    """Return the first drafter with a process of its own of the best static chain, else its root.

    That is the slow-down that hurts whoever stays with what was the best.
    """

    def drafters(outline: Outline) -> list[str]:
        return [
            name
            for below in outline.drafters
            for name in (below.tier, *drafters(below))
            if not configuration.tiers[name].is_local
        ]

    plan = configuration.plans[best]
    return next(iter(drafters(plan)), plan.tier)


def pids_of(supervisor: Supervisor, tier: str) -> list[int]:
    """Return the processes of a tier's replicas; raises InvalidRequest if there is none."""
    names = [name for name in supervisor.children if name.partition("@")[0] == tier]
    found = [pid for name in names if (pid := supervisor.children[name].pid) is not None]
    if not found:
        raise InvalidRequest("slow", tier, "has no process of its own")
    return found
