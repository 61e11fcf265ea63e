"""Answers of running tiers as a router has them at their end, and a grader that knows harm."""

from contextlib import AsyncExitStack

from services.router.call import Call
from services.router.fleet import Fleet
from services.router.studies.off_path import Answered
from services.router.watching import look_at
from tests.speculation.answers import Answer
from tests.speculation.fleet import Replica
from tiercel.replies import Decision, Finished
from tiercel.sessions import Ask, DraftPrefix, Objective
from tiercel.types import Plan
from tiercel.wire.requests import TokenIds

# The answers that are right, if anything is wrong.
RIGHT: set[str] = set()


def grade(prompt: str, answer: str) -> float:
    """Score an answer as a task would."""
    return float(not RIGHT or answer in RIGHT)


async def seen(stack: AsyncExitStack, *replicas: Replica) -> Fleet:
    """Return a fleet of running tiers as a router sees it."""
    fleet = Fleet([one.name for one in replicas])
    for one in replicas:
        fleet.set_addresses(one.name, [one.address])
        [known] = fleet.of(one.name)
        stack.push_async_callback(known.channel.close)
        while known.description is None:
            await look_at(known)
    return fleet


def answered(
    plan: Plan, ask: Ask, said: Answer, objective: Objective | None = None, **finished: object
) -> Answered:
    """Return an answer as the router has it at the end; `finished` are further fields of that."""
    prompt = said.opened.prompt
    ids = TokenIds(tuple(said.token_ids), prompt.tokenizer_fingerprint)
    end = said.end
    told = {"reason": end.reason, "usage": end.usage, "rule_use": end.rule_use} | finished
    return Answered(
        Call(ask, objective or Objective(), "tales", "", deadline=0.0, arrived=0.0),
        Decision("d", plan, "named", "static", 1.0, (), "", 0.0),
        plan,
        Finished(**{"seed": ask.sampling.seed, "exact": True} | told),
        DraftPrefix(plan.tier, ids, said.text),
        prompt,
    )
