"""A large and a small scripted tier that say how fast they are, and a router over them."""

from pathlib import Path

from tests.addresses import free_address
from tests.router.graders import WrittenGrader
from tests.router.routers import configuration_file, request, settled
from tests.router.scripted_tier import Script, serving
from tiercel.routing.policy import Wishes
from tiercel.v1 import tier_pb2

PLANS = {"large": "large", "small": "small", "drafted": "large <- small:4"}
# Seconds of 11 tokens after a prompt of 25: large 1.25, drafted less, small 0.125.
PASS_S = {"large": 0.1, "small": 0.01}
GRADES = {"large": 0.9, "small": 0.6}
BOUNDS = {"large": 0.85, "small": 0.5}
LENGTHS = {"large": 11.0, "small": 11.0}


async def over(
    stack,
    tmp_path,
    grader=None,
    *,
    plans=PLANS,
    away=(),
    prices="",
    compute_ns=0,
    **settings,
):
    """A router over a large and a small tier, each of which measured its own speed.

    `prices` is a line of the large one's configuration; `compute_ns` is what an answer takes.
    """
    places = {}
    for tier, seconds in PASS_S.items():
        speed = tier_pb2.Speed(
            pass_s=seconds, pass_s_per_token=0.0, prefill_s_per_token=seconds / 10
        )
        records = [
            tier_pb2.DrafterRecord(
                drafter="small",
                num_accepted_tokens=900.0,
                num_rejected_tokens=100.0,
                draft_s_per_token=0.01,
            )
        ]
        script = Script(tier=tier, step_s=0.0, compute_ns=compute_ns)
        script.about = {"speed": speed, "drafters": records, "max_length": 200}
        served = await stack.enter_async_context(serving(script))
        places[tier] = [free_address() if tier in away else served]
    config = configuration_file(tmp_path, places, plans)
    text = Path(config).read_text()
    Path(config).write_text(text.replace("[tiers.large]", f"[tiers.large]\n{prices}"))
    return await settled(stack, config, grader, away=away, **settings)


def graded(**fields) -> WrittenGrader:
    return WrittenGrader(**({"quality": GRADES, "bound": BOUNDS, "num_tokens": LENGTHS} | fields))


def asked(policy: str = "", session_id: str = "", **wishes):
    return request(
        prompt="x" * 100,
        max_new_tokens=64,
        policy=policy,
        session_id=session_id,
        wishes=Wishes(**wishes),
    )
