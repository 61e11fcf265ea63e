"""What a longer context costs: time to the first token, time for each further one, memory.

    python -m bench.context --out results.json [--graph native-int4 ...] [--context 512 ...]

The engine alone, one session, on tokens of SmolLM2's vocabulary; contexts take turns, and each
figure is the median of the rounds. Memory is that of the session's cache, not of the weights.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Protocol, cast

import numpy as np
import typer

from bench.limits.machine import describe
from tiercel import engines
from tiercel.cli.output import Output
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.models.embedded import DEFAULT_MODEL

CONTEXTS = (128, 512, 1024, 2048, 3968)
GRAPHS = ("native-int4", "onnx-int4", "onnx-fp32")
_DECODED = 16
_COLUMNS = (
    "graph", ">context", ">ms to the first token", ">us a prompt token", ">ms a token after it",
    ">ms a block of 5", ">MB of cache",
)  # fmt: skip


class _Sized(Protocol):
    @property
    def num_bytes(self) -> int: ...


@dataclass(frozen=True)
class Costs:
    """One context of one graph: medians in seconds, the cache in bytes."""

    graph: str
    context: int
    first_s: float
    token_s: float
    block_s: float
    cache_bytes: float


def measure(graph: str, contexts: Sequence[int], rounds: int, threads: int) -> list[Costs]:
    """Return what each context costs on an engine and dtype such as `native-int4`."""
    engine, _, dtype = graph.partition("-")
    most = max(contexts) + _DECODED + 5
    model, _ = engines.load(engine, DEFAULT_MODEL, dtype=dtype, threads=threads, max_length=most)
    taken = [[_one(model, context) for context in contexts] for _ in range(rounds)]
    model.close()
    return [
        Costs(graph, context, *np.median(ones, axis=0).tolist())
        for context, ones in zip(contexts, zip(*taken, strict=True), strict=True)
    ]


def _one(model: LanguageModel, context: int) -> tuple[float, float, float, int]:
    tokens = np.random.default_rng(context).integers(model.description.vocab_size, size=context)
    cache = model.open()
    first_s = _seconds(model, Step(cache, tokens.tolist(), 1))
    token_s = statistics.median(_seconds(model, Step(cache, [7], 1)) for _ in range(_DECODED))
    block_s = _seconds(model, Step(cache, [7] * 5, 5))
    size = cast(_Sized, cache).num_bytes
    cache.close()
    return first_s, token_s, block_s, size


def _seconds(model: LanguageModel, step: Step) -> float:
    began = time.perf_counter()
    model.extend([step])
    return time.perf_counter() - began


def _row(one: Costs) -> tuple[str, ...]:
    return (
        one.graph,
        str(one.context),
        f"{1e3 * one.first_s:.0f}",
        f"{1e6 * one.first_s / one.context:.0f}",
        f"{1e3 * one.token_s:.2f}",
        f"{1e3 * one.block_s:.2f}",
        f"{one.cache_bytes / 1e6:.1f}",
    )


def main(
    out: Annotated[Path, typer.Option(help="Everything measured, as JSON.")],
    graph: Annotated[list[str] | None, typer.Option(help=f"{', '.join(GRAPHS)}.")] = None,
    context: Annotated[list[int] | None, typer.Option(min=1, help="Tokens; several.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Print what each context costs."""
    contexts = context or CONTEXTS
    costs = [one for name in graph or GRAPHS for one in measure(name, contexts, rounds, threads)]
    about = {"processor": describe(), "threads": threads, "rounds": rounds}
    out.write_text(json.dumps({**about, "costs": [asdict(one) for one in costs]}))
    Output().table("one session", _COLUMNS, [_row(one) for one in costs])


if __name__ == "__main__":
    typer.run(main)
