"""What a prediction of quality takes: the row of a prompt, and the whole prediction.

    python -m bench.prompt_features [--characters 500] [--prompts 300]

Prompts are pieces of this length of those that come with Tiercel, each asked once, so that most
words of a prompt were seen before, and its combinations were not.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

import numpy as np
import typer

from tiercel.prediction.quality import SHIPPED, QualityPredictor, features
from tiercel.prediction.records import read_prompts

_WARM_UP = 50


def main(
    characters: Annotated[int, typer.Option(min=1, help="Of each prompt.")] = 500,
    prompts: Annotated[int, typer.Option(min=10, help="Of each kind of call.")] = 300,
) -> None:
    """Print the median and the 99th percentile of each."""
    predictor = QualityPredictor.load(SHIPPED)
    texts = list(islice(_texts(characters), _WARM_UP + prompts))
    calls: dict[str, Callable[[str], object]] = {
        "features": lambda text: features(text, temperature=0.0),
        "prediction": lambda text: predictor.predict(text, temperature=0.0, max_new_tokens=128),
    }
    for name, call in calls.items():
        taken = np.array([_ms(call, text) for text in texts])[_WARM_UP:]
        median, late = np.percentile(taken, (50, 99))
        print(f"{name}: median {median:.3f} ms, p99 {late:.3f} ms, {characters} characters")


def _texts(characters: int) -> Iterator[str]:
    """Yield pieces of all prompts, one after the other, from random places; there is no end."""
    random = np.random.default_rng(0)
    words = np.array(" ".join(line.prompt for line in read_prompts()).split())
    while True:
        some = words[(random.integers(len(words)) + np.arange(characters)) % len(words)]
        yield " ".join(some)[:characters]


def _ms(call: Callable[[str], object], text: str) -> float:
    start = time.perf_counter()
    call(text)
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    typer.run(main)
