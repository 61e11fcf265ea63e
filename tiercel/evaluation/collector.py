"""Collects outcomes unit by unit into the matrix; what is there already is not asked again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tiercel.errors import InvalidRequest
from tiercel.evaluation.answering import outcome_of, request_of
from tiercel.evaluation.column import Column
from tiercel.evaluation.columns_on_tiers import ColumnOpener, OpenColumn
from tiercel.evaluation.generation import Request
from tiercel.evaluation.items import Item
from tiercel.evaluation.matrix import Cells, CellsManifest, CellStore, read_cells
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.pilot import PILOT_PROMPTS, Pilot, judge, read_pilot, write_pilot
from tiercel.evaluation.schedule import Unit, Work
from tiercel.evaluation.sets import EvaluationSet
from tiercel.evaluation.voting import elected
from tiercel.shard_folder import MANIFEST_FILE

# Outcomes that a kill may lose, beside the answers that were being decoded.
_KEPT_BACK = 16

_Asked = tuple[Item, int, Request]


class Collector:
    """One run over a matrix's folder."""

    def __init__(
        self,
        root: Path,
        work: Work,
        opener: ColumnOpener,
        *,
        expected: Callable[[int], None] = lambda num_outcomes: None,
        progress: Callable[[int], None] = lambda num_outcomes: None,
        told: Callable[[str], None] = lambda line: None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Collect `work` into the folder `root`.

        `expected` is told how many outcomes are missing, `progress` of each that is there, `told`
        gets a line for each unit; once `is_over`, no further prompt is begun.
        """
        self._root, self._work, self._opener = root, work, opener
        self._expected, self._progress = expected, progress
        self._told, self._is_over = told, is_over
        self._done: dict[tuple[str, str], set[tuple[str, int]]] = {}

    def run_pilot(self, tiers: Sequence[Column]) -> Pilot:
        """Collect the pilot's prompts; judge each set as soon as all `tiers` answered them."""
        self.judge(tiers)
        units = list(self._work.pilot())
        self._expected(sum(len(self._missing(unit)) for unit in units))
        for unit in units:
            self._run(unit)
            self.judge(tiers, unit.set)
        return read_pilot(self._root)

    def judge(self, tiers: Sequence[Column], *sets: EvaluationSet) -> None:
        """Judge the sets that have no verdict yet, of those given or of all, as far as possible."""
        verdicts = dict(read_pilot(self._root).sets)
        for each in sets or self._work.sets:
            known = verdicts.get(each.name)
            if known is not None and known.set_digest == each.digest:
                continue
            scores = {str(column): self._pilot_scores(column, each) for column in tiers}
            if each.scorer != "none" and len(scores) > 1 and all(scores.values()):
                verdicts[each.name] = judge(each.digest, self._metric(tiers[0], each), scores)
                write_pilot(self._root, Pilot(sets=verdicts))

    def run(self, units: Iterable[Unit]) -> None:
        """Collect what is missing of each unit."""
        in_order = list(units)
        self._expected(sum(len(self._missing(unit)) for unit in in_order))
        for unit in in_order:
            self._run(unit)

    def _run(self, unit: Unit) -> None:
        if self._is_over():
            return
        if missing := self._missing(unit):
            (self._answer if unit.column.votes == 1 else self._elect)(unit, missing)

    def _missing(self, unit: Unit) -> list[tuple[Item, int]]:
        """Return the prompts and samples of a unit that are not in the matrix."""
        key = (str(unit.column), unit.set.name)
        if key not in self._done:
            cells = self._cells(unit.column, unit.set)
            self._done[key] = {one.cell for one in cells.outcomes} if cells else set()
        done = self._done[key]
        return [
            (item, sample)
            for item in unit.items
            for sample in range(unit.num_samples)
            if (item.id, sample) not in done
        ]

    def _answer(self, unit: Unit, missing: list[tuple[Item, int]]) -> None:
        opened = self._opener.open(unit.column)
        store = CellStore(self._root, unit.column.folder_name, self._manifest(unit, opened))
        self._done[str(unit.column), unit.set.name] = store.done
        waiting: list[Outcome] = []
        try:
            asked = self._asked(unit, missing, opened)
            for (item, sample, request), said in opened.decoder.run(asked):
                outcome = outcome_of(
                    unit.set,
                    item,
                    request,
                    said,
                    sample=sample,
                    numerics_id=opened.decoder.numerics_id,
                    tokenizer=opened.decoder.tokenizer,
                )
                waiting.append(outcome)
                self._progress(1)
                if len(waiting) >= _KEPT_BACK:
                    store.add(waiting)
                    waiting = []
        finally:
            store.add(waiting)
        self._told(f"{unit.set.name}: {unit.column}, {len(store.done)} answers")

    def _elect(self, unit: Unit, missing: list[tuple[Item, int]]) -> None:
        """Let samples vote that the matrix has; a prompt without all of them has to wait."""
        column = unit.column
        drawn = self._cells(column.samples, unit.set)
        if drawn is None:
            return
        samples = {one.cell: one for one in drawn.outcomes}
        tokenizer = self._opener.open(column.samples).decoder.tokenizer
        manifest = drawn.manifest.model_copy(update={"column": str(column)})
        store = CellStore(self._root, column.folder_name, manifest)
        self._done[str(column), unit.set.name] = store.done
        found = []
        for item, _ in missing:
            voters = [samples.get((item.id, at)) for at in range(column.votes)]
            known = [one for one in voters if one is not None]
            if len(known) == column.votes:
                texts = [tokenizer.decode(one.token_ids, skip_special=True) for one in known]
                found.append(elected(known, texts, unit.set.scorer))
        store.add(found)
        self._progress(len(found))
        self._told(f"{unit.set.name}: {column}, {len(store.done)} answers")

    def _asked(
        self, unit: Unit, missing: list[tuple[Item, int]], opened: OpenColumn
    ) -> Iterator[tuple[_Asked, Request]]:
        decoder = opened.decoder
        for item, sample in missing:
            if self._is_over():
                return
            request = request_of(unit.set, item, unit.column, sample, decoder.tokenizer)
            most = decoder.max_length - request.max_new_tokens
            if len(request.prompt_ids) <= most:
                yield (item, sample, request), request

    def _manifest(self, unit: Unit, opened: OpenColumn) -> CellsManifest:
        return CellsManifest(
            column=str(unit.column),
            set_name=unit.set.name,
            data_digest=self._work.items[unit.set.name].digest,
            set_digest=unit.set.digest,
            tiers=opened.tiers,
        )

    def _cells(self, column: Column, each: EvaluationSet) -> Cells | None:
        """Return what is known of a column on a set, if anything is; raises InvalidRequest.

        Cells of other data, or asked for in another way, are not taken for these.
        """
        folder = self._root / column.folder_name / each.name
        if not (folder / MANIFEST_FILE).exists():
            return None
        cells = read_cells(folder)
        items = self._work.items[each.name]
        expected: dict[str, Any] = {
            "column": str(column),
            "data_digest": items.digest,
            "set_digest": each.digest,
        }
        for name, value in expected.items():
            if (was := getattr(cells.manifest, name)) != value:
                raise InvalidRequest(name, value, f"{folder} has {was!r}: name another folder")
        return cells

    def _pilot_scores(self, column: Column, each: EvaluationSet) -> list[float]:
        """Return the main scores of the pilot's prompts, or none if not all are there."""
        cells = self._cells(column, each)
        scores = {one.prompt_id: one.scores for one in cells.outcomes} if cells else {}
        items = self._work.items[each.name].items[:PILOT_PROMPTS]
        if not items or any(item.id not in scores for item in items):
            return []
        return [next(iter(scores[item.id].values()), 0.0) for item in items]

    def _metric(self, column: Column, each: EvaluationSet) -> str:
        cells = self._cells(column, each)
        assert cells is not None  # scores were read from them
        return next(iter(cells.outcomes[0].scores))
