"""Holds drafters against the answers of a matrix; what was done is not done again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.items import Item
from tiercel.evaluation.loaded_tiers import LoadedTier, LoadedTiers
from tiercel.evaluation.matching.choices import Given
from tiercel.evaluation.matching.drafters import OpenDrafter, open_drafter
from tiercel.evaluation.matching.stored import MatchesManifest, MatchStore
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS, EvaluationSet
from tiercel.tiers import Configuration

# Answers that a kill may lose.
_KEPT_BACK = 64


@dataclass(frozen=True)
class Task:
    """One drafter, and the answers of one column to one set."""

    drafter: str
    cells: Cells

    @property
    def root(self) -> str:
        """The tier that answered."""
        return parse_column(self.cells.manifest.column).plan.tier

    @property
    def set(self) -> EvaluationSet:
        """What was asked."""
        return SETS[self.cells.manifest.set_name]


def tasks(
    matrix: Sequence[Cells], configuration: Configuration, named: Sequence[str] | None
) -> list[Task]:
    """Return what there is to do for texts that tiers alone said, greedily; root by root.

    Drafters are those `named`, or all that may pay: tiers that only draft, and those that stand in
    the configuration before the root.
    """
    found = []
    for cells in matrix:
        root = parse_column(cells.manifest.column).plan.tier
        drafters = candidates(configuration, root) if named is None else named
        if _is_of_use(cells):
            found += [Task(drafter, cells) for drafter in drafters if drafter != root]
    order = list(configuration.tiers)
    return sorted(found, key=lambda task: (order.index(task.root), order.index(task.drafter)))


def candidates(configuration: Configuration, root: str) -> list[str]:
    """Return the tiers that may draft for a root; raises InvalidRequest for one there is not."""
    names = list(configuration.tiers)
    if root not in names:
        raise InvalidRequest("tier", root, "no such tier in the configuration")
    before = names[: names.index(root)]
    return [
        name
        for name, tier in configuration.tiers.items()
        if name in before or tier.service == "drafter"
    ]


class Matcher:
    """One run over a matrix."""

    def __init__(
        self,
        configuration: Configuration,
        data: Path,
        tiers: LoadedTiers,
        *,
        progress: Callable[[int], None] = lambda num_answers: None,
    ) -> None:
        """`data` is the folder of the sets' files; `progress` is told of each answer."""
        self._configuration, self._data, self._tiers = configuration, data, tiers
        self._progress = progress

    def run(self, task: Task) -> int:
        """Match what has no matches yet; return how many answers have them now.

        Raises InvalidRequest for a drafter that cannot draft for this root, for another one than
        those of the matches that are there, and for data that the answers are not of.
        """
        drafter, root = open_drafter(self._configuration, task.drafter, task.root, self._tiers)
        _check_root(task, root)
        store = MatchStore(task.cells.folder, _manifest(task, drafter))
        items = self._items(task)
        waiting = []
        missing = [one for one in _first_samples(task.cells) if one.prompt_id not in store.done]
        try:
            for one in missing:
                given = _given(task, _item(items, one), one, root)
                waiting.append((one, drafter.chooser.matches(given)))
                self._progress(1)
                if len(waiting) >= _KEPT_BACK:
                    store.add(waiting)
                    waiting = []
        finally:
            store.add(waiting)
        return len(store.done)

    def _items(self, task: Task) -> Mapping[str, Item]:
        read = task.set.read(self._data)
        if read.digest != task.cells.manifest.data_digest:
            name = f"{task.set.name}.jsonl"
            raise InvalidRequest("data", name, f"{task.cells.folder} is of another file")
        return {item.id: item for item in read.items}


def _is_of_use(cells: Cells) -> bool:
    column, each = parse_column(cells.manifest.column), SETS.get(cells.manifest.set_name)
    is_text = each is not None and not each.asks_letter
    return column.is_one_tier and not column.temperature and is_text


def _first_samples(cells: Cells) -> Iterator[Outcome]:
    return (one for one in cells.outcomes if not one.sample)


def _item(items: Mapping[str, Item], one: Outcome) -> Item:
    item = items.get(one.prompt_id)
    if item is None or item.prompt_hash != one.prompt_hash:
        raise InvalidRequest("data", one.prompt_id, "is not the prompt that was answered")
    return item


def _given(task: Task, item: Item, one: Outcome, root: LoadedTier) -> Given:
    messages = task.set.messages(item)
    return Given(messages, tuple(root.tokenizer.render(messages)), one.token_ids)


def _check_root(task: Task, root: LoadedTier) -> None:
    was, now = task.cells.manifest.tiers[root.name], root.identity
    if was != now:
        why = f"{task.cells.folder} was answered by {was.model}, {was.weights_digest[:12]}"
        raise InvalidRequest("tier", f"{root.name} ({now.weights_digest[:12]})", why)


def _manifest(task: Task, drafter: OpenDrafter) -> MatchesManifest:
    was = task.cells.manifest
    return MatchesManifest(
        column=was.column,
        set_name=was.set_name,
        data_digest=was.data_digest,
        set_digest=was.set_digest,
        drafter=task.drafter,
        digest=drafter.digest,
        tokenizer_fingerprint=drafter.tokenizer_fingerprint,
        root_digest=was.tiers[task.root].weights_digest,
    )
