"""What a bench's JSON says of tiers and pairs, for `tiercel plan`."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from tiercel.errors import InvalidRequest
from tiercel.plan_costs import Measurements, PairRate, TierTimes


class _Pair(BaseModel):
    drafter: str
    verifier: str
    num_accepted_tokens: int
    num_rejected_tokens: int


class _Plan(BaseModel):
    chains: tuple[str, ...]
    root: str
    num_answers: int
    num_tokens: int
    tokens_per_s: float
    median_first_s: float
    pairs: tuple[_Pair, ...]


class _Bench(BaseModel):
    plans: tuple[_Plan, ...]


def bench_measurements(path: Path) -> Measurements:
    """Return what a file of `tiercel bench --json` says; raises InvalidRequest.

    Rates are those of all plans together; a pass of one token is known of roots that answered
    alone, from their answers without the first token.
    """
    try:
        plans = _Bench.model_validate_json(path.read_text(encoding="utf-8")).plans
    except OSError as error:
        raise InvalidRequest("bench", str(path), error.strerror or "cannot be read") from None
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "bench"
        raise InvalidRequest(key, problem["input"], problem["msg"]) from None
    alone = [plan for plan in plans if plan.chains == (plan.root,)]
    tiers = {plan.root: TierTimes(step_s={1: _step_s(plan)}) for plan in alone}
    return Measurements(tiers=tiers, pairs=tuple(_rates(plans)))


def _step_s(plan: _Plan) -> float:
    tokens = plan.num_tokens / plan.num_answers
    rest_s = tokens / plan.tokens_per_s - plan.median_first_s
    return max(0.0, rest_s) / max(1.0, tokens - 1)


def _rates(plans: Sequence[_Plan]) -> list[PairRate]:
    accepted: dict[tuple[str, str], int] = {}
    judged: dict[tuple[str, str], int] = {}
    for pair in (pair for plan in plans for pair in plan.pairs):
        key = pair.drafter, pair.verifier
        accepted[key] = accepted.get(key, 0) + pair.num_accepted_tokens
        judged[key] = judged.get(key, 0) + pair.num_accepted_tokens + pair.num_rejected_tokens
    return [
        PairRate(drafter=drafter, verifier=verifier, acceptance_rate=accepted[key] / judged[key])
        for key in judged
        if judged[key]
        for drafter, verifier in [key]
    ]
