"""When a tree of drafts pays: recorded answers are drafted again, as paths and as trees.

    python -m bench.trees --recording FOLDER --data FOLDER --ngram smollm2-135m [--passes FILE]

The suffix index and the n-gram table draft together as one path (of whatever is likelier), alone
and merged (two paths, rows that they share fed once), and as a tree (the likeliest places for a
row, whichever branch they are on). Printed are tokens and rows of a pass, and the speed-up over
plain decoding where a row more costs nothing, a hundredth of a pass, a tenth, or what
`python -m bench.economics --json FILE` measured. Looking up is free here, and nothing is
remembered from one answer to the next.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from bench.draft_replay import Recorded, Tally, cost_of_a_pass, read
from tiercel.cli.output import Output
from tiercel.distillation.shards import read_manifest
from tiercel.drafters import table_path
from tiercel.engines.combined import CombinedDrafter, weighed
from tiercel.engines.guesses import Guess, Source
from tiercel.engines.ngram import NgramSource, NgramTable
from tiercel.engines.suffix import SuffixIndex

ROW_COSTS = (0.0, 0.01, 0.1)

Nodes = dict[tuple[int, ...], None]  # paths from the root, each a row; parents come first


class Drafts:
    """Sources of one sequence, and the shapes of draft that they can give together."""

    def __init__(self, sources: Sequence[Source], max_tokens: int, min_confidence: float) -> None:
        """Draft at most `max_tokens` tokens, each path while it is as likely as this."""
        self._sources, self._length = sources, 0
        self._most, self._least = max_tokens, min_confidence

    def append(self, tokens: Sequence[int]) -> None:
        """Add tokens behind the sequence's last."""
        for source in self._sources:
            source.append(tokens)
        self._length += len(tokens)

    def alone(self, *places: int) -> Nodes:
        """Return the path of the sources at these places, all of them if none is named."""
        chosen = [self._sources[place] for place in places] if places else self._sources
        drafter = CombinedDrafter(*chosen)
        tokens = drafter.propose(self._most, self._least).tokens
        drafter.truncate(self._length)
        return {tuple(tokens[: end + 1]): None for end in range(len(tokens))}

    def merged(self) -> Nodes:
        """Return the paths that the sources would give one by one, as one tree."""
        return {path: None for place in range(len(self._sources)) for path in self.alone(place)}

    def tree(self) -> Nodes:
        """Return the likeliest paths, each source's guess tried in every place."""
        nodes: Nodes = {}
        heap: list[tuple[float, int, tuple[int, ...]]] = []
        numbers = count()
        path: tuple[int, ...] = ()
        likelihood = 1.0
        while True:
            for guess in self._guesses(path):
                if (chance := likelihood * guess.confidence) >= self._least:
                    heapq.heappush(heap, (-chance, next(numbers), (*path, guess.token)))
            if not heap or len(nodes) == self._most:
                return nodes
            negative, _, path = heapq.heappop(heap)
            nodes[path], likelihood = None, -negative

    def _guesses(self, path: Sequence[int]) -> list[Guess]:
        """Return what may follow a path; a token that several sources guess gains by it."""
        guesses = []
        for source in self._sources:
            source.append(path)
            if (guess := source.guess()) is not None:
                guesses.append(guess)
            source.truncate(self._length)
        if not guesses:
            return []
        best = weighed(guesses)
        others = {one.token: one for one in guesses if one.token != best.token}
        return [best, *others.values()]


SHAPES: dict[str, Callable[[Drafts], Nodes]] = {
    "first source": lambda drafts: drafts.alone(0),
    "second source": lambda drafts: drafts.alone(1),
    "one path of both": lambda drafts: drafts.alone(),
    "two paths merged": lambda drafts: drafts.merged(),
    "tree": lambda drafts: drafts.tree(),
}


def replay(recorded: Recorded, drafts: Drafts, shape: Callable[[Drafts], Nodes]) -> Tally:
    """Draft an answer as if its target verified every tree; its first token is the prefill's."""
    tally, truth, done = Tally(), recorded.token_ids, 1
    drafts.append([*recorded.prompt_ids, *truth[:1]])
    while done < len(truth):
        nodes, rest = shape(drafts), truth[done : len(truth) - 1]
        accepted = max((len(path) for path in nodes if path == rest[: len(path)]), default=0)
        tally.widths[len(nodes) + 1] += 1
        drafts.append(truth[done : done + accepted + 1])
        done += accepted + 1
    tally.num_tokens = len(truth) - 1
    return tally


def total(tallies: Iterable[Tally]) -> Tally:
    """Return all tallies as one."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def main(
    recording: Annotated[Path, typer.Option(exists=True, help="Of `tiercel distill record`.")],
    data: Annotated[Path, typer.Option(exists=True, help="Folder of the prompts.")],
    ngram: Annotated[str, typer.Option(help="The second source's table.")] = "smollm2-135m",
    max_tokens: Annotated[int, typer.Option(min=1, help="Rows for drafts.")] = 8,
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Where drafts end.")] = 0.1,
    passes: Annotated[Path | None, typer.Option(exists=True, help="Measured passes.")] = None,
) -> None:
    """Draft recorded answers again in several shapes, and print what each would have brought."""
    output, table = Output(), NgramTable(table_path(ngram))
    costs = [cost_of_a_pass(None, each) for each in ROW_COSTS]
    costs += [cost_of_a_pass(passes, 0)] if passes else []
    with output.working("reading the recording"):
        answers = read(recording, data, read_manifest(recording).model)
    rows = []
    for name, shape in SHAPES.items():
        tally = total(
            [
                replay(
                    one, Drafts([SuffixIndex(), NgramSource(table)], max_tokens, confidence), shape
                )
                for one in answers
            ]
        )
        speeds = (f"{tally.speed_up(cost):.3f}" for cost in costs)
        rows.append((name, f"{tally.tokens_per_pass:.3f}", f"{tally.rows_per_pass:.2f}", *speeds))
    names = [f">row {each:g}" for each in ROW_COSTS] + ([">measured"] if passes else [])
    output.table("what a shape brings", ("shape", ">tokens a pass", ">rows", *names), rows)


if __name__ == "__main__":
    typer.run(main)
