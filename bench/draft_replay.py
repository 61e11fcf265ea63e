"""What drafters without a model would bring: recorded answers are drafted again, without a target.

    python -m bench.draft_replay --recording FOLDER --data FOLDER [--ngram smollm2-135m]

For the suffix index, the n-gram table and both, at several confidences: the tokens that a pass
commits, and the speed-up over plain decoding if looking up is free. A pass costs what
`python -m bench.economics --json FILE` measured (`--passes FILE`), or 1 and --row-cost for each
draft token. Nothing is remembered from one answer to the next. Record greedily, from prompts that
the table was not made from.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from tiercel.cli.output import Output
from tiercel.decoding import prefix_hash
from tiercel.distillation.prompts import read_data
from tiercel.distillation.recording import prompt_ids
from tiercel.distillation.shards import read_answers, read_manifest
from tiercel.drafters import table_path
from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.ngram import NgramSource, NgramTable
from tiercel.engines.suffix import SuffixIndex
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.models.resolve import resolve

CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Recorded:
    """One answer of the target."""

    kind: str
    prompt_ids: list[int]
    token_ids: tuple[int, ...]


@dataclass
class Tally:
    """What drafting one or more answers again came to."""

    num_tokens: int = 0
    widths: Counter[int] = field(default_factory=Counter)  # passes by their tokens
    accepted: Counter[str] = field(default_factory=Counter)  # guesses by source
    rejected: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Count the other's answers too."""
        self.num_tokens += other.num_tokens
        self.widths += other.widths
        self.accepted += other.accepted
        self.rejected += other.rejected

    def speed_up(self, cost: Callable[[int], float]) -> float:
        """Return how much less than plain decoding the passes cost; `cost` is by width."""
        spent = sum(number * cost(width) for width, number in self.widths.items())
        return self.num_tokens * cost(1) / spent

    @property
    def tokens_per_pass(self) -> float:
        """Tokens committed by a pass, the recovered or bonus token included."""
        return self.num_tokens / self.widths.total()

    @property
    def rows_per_pass(self) -> float:
        """Rows of a pass, that of the last committed token included."""
        rows = sum(width * number for width, number in self.widths.items())
        return rows / self.widths.total()


def replay(
    recorded: Recorded, drafter: CombinedDrafter, *, max_tokens: int, min_confidence: float
) -> Tally:
    """Draft an answer as if its target verified every draft; its first token is the prefill's."""
    tally, truth = Tally(), recorded.token_ids
    drafter.append([*recorded.prompt_ids, *truth[:1]])
    done = 1
    while done < len(truth):
        draft = drafter.propose(min(max_tokens, len(truth) - done - 1), min_confidence)
        agreed = [ours == true for ours, true in zip(draft.tokens, truth[done:], strict=False)]
        accepted = (*agreed, False).index(False)
        tally.accepted.update(draft.sources[:accepted])
        tally.rejected.update(draft.sources[accepted : accepted + 1])
        tally.widths[len(draft.tokens) + 1] += 1
        drafter.truncate(len(recorded.prompt_ids) + done)
        drafter.append(truth[done : done + accepted + 1])
        done += accepted + 1
    tally.num_tokens = len(truth) - 1
    return tally


def by_kind(
    answers: Iterable[Recorded],
    drafter: Callable[[], CombinedDrafter],
    *,
    max_tokens: int,
    min_confidence: float,
) -> dict[str, Tally]:
    """Return a tally for each kind of task, and for all of them under `all`."""
    tallies: dict[str, Tally] = {"all": Tally()}
    for one in answers:
        tally = replay(one, drafter(), max_tokens=max_tokens, min_confidence=min_confidence)
        tallies["all"].add(tally)
        tallies.setdefault(one.kind, Tally()).add(tally)
    return tallies


def read(recording: Path, data: Path, model: str) -> list[Recorded]:
    """Return the answers of `model` with their prompts; raises InvalidRequest for other prompts."""
    tokenizer = resolve(model).read_tokenizer()
    prompts = {(prompt.data_set, prompt.row): prompt for prompt in read_data(data, ()).prompts}
    found = []
    for answer in read_answers(recording):
        prompt = prompts.get((answer.data_set, answer.row))
        ids = prompt_ids(tokenizer, prompt) if prompt is not None else []
        if prompt is None or prefix_hash.of(ids) != answer.prompt_hash:
            raise InvalidRequest("data", str(data), f"is not what {recording} was recorded from")
        found.append(Recorded(prompt.kind, ids, answer.token_ids))
    return found


def cost_of_a_pass(passes: Path | None, row_cost: float) -> Callable[[int], float]:
    """Return the cost of a pass by its width."""
    if passes is None:
        return lambda width: 1 + row_cost * (width - 1)
    measured = json.loads(passes.read_text())["pass_ms"]
    widths, times = [int(width) for width in measured], list(measured.values())
    return lambda width: float(np.interp(width, widths, times))


def _drafters(table: NgramTable | None) -> Iterator[tuple[str, Callable[[], CombinedDrafter]]]:
    yield "suffix", lambda: CombinedDrafter(SuffixIndex())
    if table is not None:
        yield "n-gram", lambda: CombinedDrafter(NgramSource(table))
        yield "both", lambda: CombinedDrafter(SuffixIndex(), NgramSource(table))


def _row(
    name: str, confidence: float, tallies: dict[str, Tally], cost: Callable[[int], float]
) -> tuple[str, ...]:
    whole = tallies["all"]
    shares = " ".join(
        f"{source} {whole.accepted[source] / total:.2f} of {total}"
        for source in sorted(whole.accepted)
        if (total := whole.accepted[source] + whole.rejected[source])
    )
    speeds = (f"{tallies[kind].speed_up(cost):.2f}" for kind in sorted(tallies))
    return (name, f"{confidence:g}", f"{whole.tokens_per_pass:.2f}", *speeds, shares)


def main(
    recording: Annotated[Path, typer.Option(exists=True, help="Of `tiercel distill record`.")],
    data: Annotated[Path, typer.Option(exists=True, help="Folder of the prompts.")],
    ngram: Annotated[str, typer.Option(help="Table: a name or a file; empty for none.")] = "",
    model: Annotated[str, typer.Option(help="The target; empty: as the recording says.")] = "",
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a draft.")] = 8,
    confidence: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="Where drafts end; several.")
    ] = None,
    row_cost: Annotated[float, typer.Option(min=0, help="Of a draft token, in passes.")] = 0.1,
    passes: Annotated[Path | None, typer.Option(exists=True, help="Measured passes.")] = None,
) -> None:
    """Draft recorded answers again, and print what it would have brought."""
    output, cost = Output(), cost_of_a_pass(passes, row_cost)
    table = NgramTable(table_path(ngram)) if ngram else None
    manifest = read_manifest(recording)
    if table and table.header.tokenizer_fingerprint != manifest.tokenizer_fingerprint:
        raise TokenizerMismatch(f"{ngram} is of another tokenizer than {recording}")
    with output.working("reading the recording"):
        answers = read(recording, data, model or manifest.model)
    kinds = sorted({"all", *(one.kind for one in answers)})
    rows = [
        _row(name, least, by_kind(answers, made, max_tokens=max_tokens, min_confidence=least), cost)
        for name, made in _drafters(table)
        for least in confidence or CONFIDENCES
    ]
    columns = ("drafter", ">confidence", ">tokens a pass", *(f">{kind}" for kind in kinds))
    output.table("speed-up by kind of task", (*columns, "accepted, by source"), rows)


if __name__ == "__main__":
    typer.run(main)
