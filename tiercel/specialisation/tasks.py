"""What a model can be specialised in: how each task is asked, and how it is to be answered."""

from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.items import Item, read_items
from tiercel.evaluation.sets import SETS, EvaluationSet
from tiercel.specialisation.calculations import CALCULATIONS, calculations_of, without

_SOLVED = "{solution}\nThe answer is {reference}"


@dataclass(frozen=True)
class Task:
    """A task, asked as its evaluation set asks it.

    The answer is a format string over an item's `prompt`, its `reference` and its `meta`.
    """

    asked_as: EvaluationSet
    data_set: str  # name of the file of an evaluation's items
    answer: str = "{reference}"

    def items(self, data: Path, left_out: Path | None = None) -> list[Item]:
        """Return the items of a file, without those of another that is kept for evaluation.

        Raises InvalidRequest for a file that holds none.
        """
        items, others = self._read(data), [] if left_out is None else self._read(left_out)
        asked = {other.prompt for other in others}
        kept = [item for item in without(items, others) if item.prompt not in asked]
        if not kept:
            raise InvalidRequest("data", str(data), "holds nothing to learn")
        return kept

    def answered(self, item: Item) -> str:
        """Return the right answer; raises InvalidRequest for an item that lacks a field."""
        try:
            return self.answer.format_map(
                {**item.meta, "prompt": item.prompt, "reference": item.reference}
            )
        except KeyError as error:
            raise InvalidRequest("item", item.id, f"has no {error}") from None

    def _read(self, path: Path) -> list[Item]:
        name, longest = self.asked_as.name, self.asked_as.max_prompt_characters
        items = list(read_items(path, name, max_prompt_characters=longest).items)
        return calculations_of(items) if self.asked_as is CALCULATIONS else items


# Rows of any kind, with answers to learn from and nothing that scores them.
_INSTRUCTIONS = EvaluationSet("instructions", "general", "none", "{prompt}", 256, 300)

TASKS = {name: Task(each, name) for name, each in {**SETS, "instructions": _INSTRUCTIONS}.items()}
TASKS["gsm8k_test"] = Task(SETS["gsm8k_test"], "gsm8k_test", _SOLVED)
TASKS[CALCULATIONS.name] = Task(CALCULATIONS, "gsm8k_test", "{prompt} = {reference}")


def task_named(name: str) -> Task:
    """Return a task by the name of its evaluation set; raises InvalidRequest for another name."""
    if name not in TASKS:
        raise InvalidRequest("task", name, f"must be one of {', '.join(TASKS)}")
    return TASKS[name]
