"""Scored answers as JSON lines, written as they come: a run that ended goes on where it was."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scored:
    """One arm's answer to one prompt; no text of either."""

    set_name: str
    prompt_id: str
    arm: str
    quality: float  # the set's main score
    cost_s: float  # counts times step times of an idle machine, the decision included
    wall_s: float
    num_tokens: int
    finish: str
    plan_name: str  # that answered in the end
    first_plan: str
    counts: dict[str, int]
    commit: str

    @property
    def cell(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.set_name, self.prompt_id, self.arm


class AnswersFile:
    """What was answered, by cell; each is on disk when `add` returns."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut off is dropped."""
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        rows = (Scored(**json.loads(line)) for line in whole.splitlines())
        self.rows = {row.cell: row for row in rows}

    def add(self, row: Scored) -> None:
        """Keep a further answer."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        self.rows[row.cell] = row
