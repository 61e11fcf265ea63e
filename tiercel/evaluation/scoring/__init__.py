"""Scorers: an answer's text and its item to named scores from 0 to 1, the main one first."""

from collections.abc import Callable

from tiercel.evaluation.items import Item
from tiercel.evaluation.scoring.answer_sets import score_answer_set, score_truthfulness
from tiercel.evaluation.scoring.code import score_code
from tiercel.evaluation.scoring.numbers import score_number
from tiercel.evaluation.scoring.summaries import score_summary

Scores = dict[str, float]
Scorer = Callable[[str, Item], Scores]

SCORERS: dict[str, Scorer] = {
    "answer_set": score_answer_set,
    "number": score_number,
    "none": lambda text, item: {},
    "summary": score_summary,
    "truthfulness": score_truthfulness,
    "unit_tests": score_code,
}
"""By name. `letter` is not among them: it reads log-probabilities, not a text."""

__all__ = ["SCORERS", "Scorer", "Scores"]
