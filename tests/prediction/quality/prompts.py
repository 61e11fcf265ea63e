"""Examples of which the truth is known: sums are easy for both plans, code is hard for the small.

These are test data: nothing is ever served with a model fitted on them.
"""

import numpy as np

from tiercel.prediction.examples import Examples
from tiercel.prediction.quality.featuriser import features
from tiercel.prediction.quality.settings import QualitySettings
from tiercel.stopping.evidence import EVIDENCE_NAMES

PLANS = ("small", "large")
PAIR = "small under large"
RIGHT = {"sum": (0.85, 0.9), "code": (0.15, 0.8)}
LENGTHS = {"sum": 8.0, "code": 100.0}
ACCEPTANCE = {"sum": 0.9, "code": 0.4}
QUICK = QualitySettings(num_folds=2, penalties=(3.0, 30.0), evidence_penalty=1.0)
_WORDS = ["red", "blue", "tall", "old", "new", "quick", "calm", "big", "odd", "river", "stone"]


def text(kind: str, random: np.random.Generator) -> str:
    some = " ".join(random.choice(_WORDS, 4))
    number = random.integers(2, 99)
    if kind == "sum":
        return f"How much is {number} plus 7, for the {some}?"
    return f"Write a Python function about {some}, with {number} lines of code."


def examples(number: int, seed: int = 0) -> Examples:
    """Return prompts by turns of both kinds; the first log-probability tells right from wrong."""
    random = np.random.default_rng(seed)
    kinds = tuple("sum" if at % 2 else "code" for at in range(number))
    rows = np.stack([features(text(kind, random), temperature=0.0) for kind in kinds])
    odds = np.array([RIGHT[kind] for kind in kinds])
    scores = (random.random((number, 2)) < odds).astype(np.float32)
    evidence = random.normal(size=(number, 2, len(EVIDENCE_NAMES)))
    evidence[:, :, 0] = 2 * scores - 1 + random.normal(size=(number, 2)) * 0.5
    lengths = np.array([LENGTHS[kind] for kind in kinds]) * random.uniform(0.9, 1.1, number)
    return Examples(
        features=rows,
        evidence=evidence.astype(np.float32),
        scores=scores,
        num_tokens=np.stack((lengths, 2 * lengths), axis=1).astype(np.float32),
        acceptance=np.array([[ACCEPTANCE[kind]] for kind in kinds], np.float32),
        kinds=kinds,
        groups=tuple(map(str, range(number))),
        plan_names=PLANS,
        pair_names=(PAIR,),
    )
