"""What people chose on a sheet: from the page's file to preferences beside the matrix."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tiercel.errors import InvalidRequest
from tiercel.evaluation.matching.stored import answer_hash
from tiercel.evaluation.matrix import Cells
from tiercel.whole_files import write_whole

FOLDER = "preferences"

Choice = Literal["left", "right", "tie"]
Kind = TypeVar("Kind", bound="_Record")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Side(_Record):
    """Whose answer stood on a side, and the first 64 bits of its ids' sha256."""

    column: str
    answer_hash: int


class KeyedPair(_Record):
    """What a pair of a sheet is."""

    set_name: str
    prompt_id: str
    prompt_hash: int
    left: Side
    right: Side


class SheetKey(_Record):
    """What stays with the operator: the pairs of a sheet by the ids that its page has."""

    schema_version: Literal[1] = 1
    sheet: str
    pairs: dict[str, KeyedPair]


class Rating(_Record):
    """One choice, and when it was made."""

    pair: str
    choice: Choice
    at: datetime


class Ratings(_Record):
    """The file that a page saves."""

    schema_version: Literal[1]
    sheet: str
    rater: str = Field(min_length=1, max_length=100)
    ratings: list[Rating]


class Preference(_Record):
    """What a person holds of two answers to one prompt."""

    pair: KeyedPair
    choice: Choice
    at: datetime

    @property
    def preferred(self) -> str | None:
        """The column whose answer is the better one; None if both are equally good."""
        sides = {"left": self.pair.left.column, "right": self.pair.right.column}
        return sides.get(self.choice)


class Preferences(_Record):
    """All that one person chose on one sheet."""

    schema_version: Literal[1] = 1
    sheet: str
    rater: str
    preferences: list[Preference]


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """Return what a JSON file holds; raises InvalidRequest that names what is wrong."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidRequest("file", str(path), error.strerror or str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest("file", str(path), f"{where}: {first['msg']}") from None


def preferences_of(ratings: Ratings, key: SheetKey) -> Preferences:
    """Return what a page's choices say of columns.

    Raises InvalidRequest for the key of another sheet, and for a pair it lacks or that comes twice.
    """
    if ratings.sheet != key.sheet:
        raise InvalidRequest("key", key.sheet, f"the ratings are of sheet {ratings.sheet}")
    pairs = [rating.pair for rating in ratings.ratings]
    if wrong := [pair for pair in pairs if pair not in key.pairs or pairs.count(pair) > 1]:
        raise InvalidRequest("pair", wrong[0], "stands in the ratings twice or is not of the sheet")
    found = [
        Preference(pair=key.pairs[one.pair], choice=one.choice, at=one.at)
        for one in ratings.ratings
    ]
    return Preferences(sheet=key.sheet, rater=ratings.rater, preferences=found)


def store_preferences(root: Path, matrix: Sequence[Cells], chosen: Preferences) -> Path:
    """Write preferences beside a matrix and return their file.

    What the same person said of the same sheet before is replaced. Raises InvalidRequest for
    answers that the matrix does not hold.
    """
    _check_answers(matrix, chosen)
    rater = hashlib.sha256(chosen.rater.encode()).hexdigest()[:8]
    path = root / FOLDER / f"{chosen.sheet}-{rater}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, chosen.model_dump_json(indent=1).encode() + b"\n")
    return path


def read_preferences(root: Path, matrix: Sequence[Cells]) -> list[Preferences]:
    """Return what people prefer among a matrix's answers, a record for each person and sheet.

    Raises InvalidRequest for a file that is no such record or is of other answers.
    """
    found = [read_record(path, Preferences) for path in sorted((root / FOLDER).glob("*.json"))]
    for one in found:
        _check_answers(matrix, one)
    return found


def _check_answers(matrix: Sequence[Cells], chosen: Preferences) -> None:
    named = {one.pair.set_name for one in chosen.preferences}
    known = {
        (cells.manifest.column, cells.manifest.set_name, one.prompt_id): answer_hash(one)
        for cells in matrix
        if cells.manifest.set_name in named
        for one in cells.outcomes
        if not one.sample
    }
    for preference in chosen.preferences:
        pair = preference.pair
        for side in (pair.left, pair.right):
            if known.get((side.column, pair.set_name, pair.prompt_id)) != side.answer_hash:
                why = f"{side.column} did not say in this matrix what was rated"
                raise InvalidRequest("prompt", pair.prompt_id, why)
