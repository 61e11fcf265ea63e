"""The texts of a matrix's answers: prompts made anew from the data, ids decoded by their tier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.items import Item
from tiercel.evaluation.matching.stored import answer_hash
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.sets import SETS, EvaluationSet
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve
from tiercel.tiers import Configuration
from tiercel.tokenizer import Tokenizer


@dataclass(frozen=True)
class AnswerText:
    """What a column said to a prompt, and the first 64 bits of its ids' sha256."""

    column: str
    text: str
    answer_hash: int


@dataclass(frozen=True)
class Answered:
    """A prompt with the first answer of each column that has one, in the matrix's order."""

    item: Item
    answers: tuple[AnswerText, ...]


def answered(
    matrix: Sequence[Cells],
    configuration: Configuration,
    data: Path,
    set_name: str,
    columns: Sequence[str] | None = None,
) -> list[Answered]:
    """Return the prompts of a set, in the order in which it is spent, with the columns' answers.

    Without `columns`: every greedy one. Raises InvalidRequest for columns that answered nothing,
    for data or a tokenizer that the answers are not of, and ModelUnavailable.
    """
    each = _set_of_texts(set_name)
    cells = _chosen([one for one in matrix if one.manifest.set_name == set_name], columns)
    items = {item.id: item for item in each.read(data).items}
    found: dict[str, list[AnswerText]] = {id: [] for id in items}
    for one in cells:
        tokenizer = tokenizer_of(one, configuration)
        for outcome in one.outcomes:
            if outcome.sample:
                continue
            item = items.get(outcome.prompt_id)
            if item is None or item.prompt_hash != outcome.prompt_hash:
                raise InvalidRequest("data", outcome.prompt_id, "is not the prompt that was asked")
            text = tokenizer.decode(outcome.token_ids, skip_special=True).strip()
            answer = AnswerText(one.manifest.column, text, answer_hash(outcome))
            found[item.id].append(answer)
    return [Answered(items[id], tuple(answers)) for id, answers in found.items() if answers]


def tokenizer_of(cells: Cells, configuration: Configuration) -> Tokenizer:
    """Return the tokenizer of the tier that answered; raises InvalidRequest for another one."""
    root = parse_column(cells.manifest.column).plan.tier
    tier = configuration.tiers.get(root)
    if tier is None:
        raise InvalidRequest("tier", root, "no such tier in the configuration")
    tokenizer = resolve(tier.model or DEFAULT_MODEL).read_tokenizer()
    if tokenizer.fingerprint != cells.manifest.tiers[root].tokenizer_fingerprint:
        raise InvalidRequest("tier", root, f"{cells.folder} was answered with another tokenizer")
    return tokenizer


def _set_of_texts(name: str) -> EvaluationSet:
    each = SETS.get(name)
    if each is None or each.asks_letter:
        raise InvalidRequest("set", name, "is no set that is answered with texts")
    return each


def _chosen(cells: Sequence[Cells], columns: Sequence[str] | None) -> list[Cells]:
    by_column: Mapping[str, Cells] = {one.manifest.column: one for one in cells}
    greedy = [name for name in by_column if not parse_column(name).temperature]
    names = [str(parse_column(text)) for text in columns] if columns else greedy
    for name in names:
        if name not in by_column:
            raise InvalidRequest("column", name, f"must be one of {', '.join(by_column)}")
    if len(set(names)) < 2:
        raise InvalidRequest("column", ", ".join(names), "two columns that differ are compared")
    return [by_column[name] for name in dict.fromkeys(names)]
