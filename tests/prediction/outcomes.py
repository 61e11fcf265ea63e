"""Outcomes of a made-up machine of which the truth is known, to see whether training finds it.

These are test data: nothing is ever served with a model fitted on them.
"""

import random
from pathlib import Path

from tiercel.prediction.records import OutcomeLine, PairLine
from tiercel.types import FinishReason

PLANS = {"alone": "target", "pair": "target <- draft:4", "small": "draft"}


def token_s(prompt: str, plan: str) -> float:
    """Drafting pays for code and costs for the rest; the small model is the quickest of all."""
    is_code = "code" in prompt
    return {"alone": 0.03, "pair": 0.01 if is_code else 0.05, "small": 0.005}[plan]


def line(prompt: str, plan: str, generator: random.Random) -> OutcomeLine:
    number = 40 if "code" in prompt else 20
    first = 0.1 + 0.001 * len(prompt)
    noise = generator.uniform(0.95, 1.05)
    pairs = []
    if plan == "pair":
        accepted = 30 if "code" in prompt else 5
        pairs = [
            PairLine(
                drafter="draft",
                verifier="target",
                num_accepted_tokens=accepted,
                num_rejected_tokens=10,
            )
        ]
    return OutcomeLine(
        prompt=prompt,
        kind="",
        plan_name=plan,
        plan=PLANS[plan],
        temperature=0.0,
        max_new_tokens=64,
        seed=0,
        num_prompt_tokens=10,
        num_completion_tokens=number,
        reason=FinishReason.STOP_TOKEN,
        first_token_s=first,
        total_s=first + noise * token_s(prompt, plan) * (number - 1),
        pairs=tuple(pairs),
    )


def write(path: Path, *, num_prompts: int = 40) -> Path:
    generator = random.Random(0)
    words = ["red", "blue", "tall", "old", "new", "quick", "calm", "big", "odd", "warm"]
    with path.open("w") as file:
        for index in range(num_prompts):
            what = "code" if index % 2 else "story"
            prompt = f"A {words[index % 10]} {what} about {' '.join(generator.sample(words, 4))}"
            for plan in PLANS:
                file.write(line(prompt, plan, generator).model_dump_json() + "\n")
    return path
