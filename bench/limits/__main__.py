"""How far each forward pass of SmolLM2 is from the limit of this machine.

    python -m bench.limits [--graph native-int4 ...] [--threads 2 ...] [--repeats 40] [--json]

The limit of a pass is the longer of two times: that of reading the weights and the cache at the
measured bandwidth of the memory, and that of its operations at the measured rates. Passes of all
widths take turns; the time of each is the median of its repeats.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from bench.limits import machine
from bench.limits.graph_costs import PassCosts
from bench.limits.machine import Machine
from tiercel import engines
from tiercel.cli.output import Output
from tiercel.engines.graph_store import built_graph
from tiercel.engines.language_model import LanguageModel, Step
from tiercel.engines.native_weights import NativeWeights
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve

WIDTHS = (1, 2, 3, 4, 5, 8, 16)
CONTEXT = 200
GRAPHS = ("native-int4", "native-int8", "onnx-int4", "onnx-int8", "onnx-fp32")
_COLUMNS = (
    "graph", ">threads", ">width", ">ms a pass", ">ms read", ">ms compute", ">times the limit",
    ">times width 1", ">us a token",
)  # fmt: skip


@dataclass(frozen=True)
class MeasuredPass:
    """One width of one graph: the measured median, the two limits, all in seconds."""

    graph: str
    threads: int
    width: int
    median_s: float
    reading_s: float
    computing_s: float

    @property
    def times_limit(self) -> float:
        """The measured time over the limit."""
        return self.median_s / max(self.reading_s, self.computing_s)


def measure(graph: str, on: Machine, repeats: int) -> list[MeasuredPass]:
    """Return the cost of a pass of each width, of SmolLM2 on an engine and as many threads."""
    engine, _, dtype = graph.partition("-")
    costs = _costs(engine, dtype)
    model, _ = engines.load(engine, DEFAULT_MODEL, dtype=dtype, threads=on.threads)
    try:
        medians = _medians(model, repeats)
    finally:
        model.close()
    return [
        MeasuredPass(
            graph=graph,
            threads=on.threads,
            width=width,
            median_s=median_s,
            reading_s=costs.num_bytes(CONTEXT) / on.bandwidth,
            computing_s=costs.computing_s(on, width=width, context=CONTEXT),
        )
        for width, median_s in medians.items()
    ]


def _costs(engine: str, dtype: str) -> PassCosts:
    weights = resolve(DEFAULT_MODEL).weights
    if engine == "native":
        return PassCosts.of_native(NativeWeights(weights, dtype), weights.config)
    return PassCosts.read(built_graph(weights, dtype), weights.config)


def _medians(model: LanguageModel, repeats: int) -> dict[int, float]:
    """Return the median seconds of a pass with all its logits, for each width."""
    cache = model.open()
    size = model.description.vocab_size
    tokens = [(7919 * index) % size for index in range(CONTEXT + max(WIDTHS))]
    model.extend([Step(cache, tokens[:CONTEXT], 1)])
    times: dict[int, list[float]] = {width: [] for width in WIDTHS}
    for turn in range(repeats + 1):
        for width in WIDTHS:
            began = time.perf_counter()
            model.extend([Step(cache, tokens[CONTEXT : CONTEXT + width], width)])
            if turn:  # the first one warms up
                times[width].append(time.perf_counter() - began)
            cache.truncate(CONTEXT)
    cache.close()
    return {width: statistics.median(taken) for width, taken in times.items()}


def _rows(passes: list[MeasuredPass]) -> Iterator[tuple[str, ...]]:
    lone = {(one.graph, one.threads): one.median_s for one in passes if one.width == 1}
    for one in passes:
        yield (
            one.graph,
            str(one.threads),
            str(one.width),
            f"{1e3 * one.median_s:.2f}",
            f"{1e3 * one.reading_s:.2f}",
            f"{1e3 * one.computing_s:.2f}",
            f"{one.times_limit:.2f}",
            f"{one.median_s / lone[one.graph, one.threads]:.2f}",
            f"{1e6 * one.median_s / one.width:.0f}",
        )


def main(
    graph: Annotated[list[str] | None, typer.Option(help=f"{', '.join(GRAPHS)}.")] = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="1 and 2 unless said.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 40,
    json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print what the machine can do, and every pass as a multiple of that."""
    output = Output()
    machines = [machine.measure(count, tries=8) for count in threads or (1, 2)]
    passes = [
        one for name in graph or GRAPHS for on in machines for one in measure(name, on, repeats)
    ]
    if json:
        shown = [{**asdict(one), "times_limit": one.times_limit} for one in passes]
        about = {"processor": machine.describe(), "context": CONTEXT}
        output.json({**about, "machines": machines, "passes": shown})
        return
    output.line(machine.describe())
    for on in machines:
        output.line(
            f"{on.threads} threads: {on.bandwidth / 1e9:.1f} GB/s read, "
            f"{on.int8_rate / 1e9:.0f} int8 and {on.fp32_rate / 1e9:.0f} fp32 billion operations/s"
        )
    output.table(f"passes after {CONTEXT} tokens, all logits", _COLUMNS, _rows(passes))


if __name__ == "__main__":
    typer.run(main)
