"""What is believed of prompts before they are answered: predicted qualities and costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tiercel.evaluation.frontier.table import Doubles, Floats, Table
from tiercel.prediction.examples import Examples, QualityForecast

Ints = NDArray[np.intp]


class Forecaster(Protocol):
    """A fitted model of quality."""

    def forecast(self, features: Floats, evidence: Floats | None = None) -> QualityForecast:
        """Return what is predicted of prompts, features [n, number of features]."""
        ...


Fitter = Callable[[Examples, Examples], Forecaster]
"""Fits on the first examples and calibrates on the second."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Of n prompts and each plan, [n, plans]."""

    quality: Doubles
    bound: Doubles  # NaN where too little is known
    costs: Doubles
    num_tokens: Doubles


@dataclass(frozen=True, eq=False)
class CostModel:
    """Costs as linear in the prompt's length and the predicted length of the answer."""

    weights: Doubles  # [3, plans]
    least: Doubles  # [plans]

    @classmethod
    def fit(cls, texts: Sequence[str], num_tokens: Doubles, costs: Doubles) -> "CostModel":
        """Fit to prompts [n] whose lengths [n, plans] were predicted and costs [n, plans] seen."""
        columns = [
            np.linalg.lstsq(_terms(texts, tokens), cost, rcond=None)[0]
            for tokens, cost in zip(num_tokens.T, costs.T, strict=True)
        ]
        return cls(np.stack(columns, axis=1), costs.min(axis=0))

    def costs(self, texts: Sequence[str], num_tokens: Doubles) -> Doubles:
        """Return the predicted costs, [n, plans], none below the least that was seen."""
        each = zip(num_tokens.T, self.weights.T, strict=True)
        predicted = np.stack([_terms(texts, tokens) @ weight for tokens, weight in each], axis=1)
        raised: Doubles = np.maximum(predicted, self.least)
        return raised


def believed(
    forecaster: Forecaster, costs: CostModel, table: Table, evidence: Floats | None = None
) -> Beliefs:
    """Return what a fitted forecaster and a cost model say of a table's prompts."""
    found = forecaster.forecast(table.examples.features, evidence)
    lengths = found.num_tokens.astype(np.float64)
    return Beliefs(
        quality=found.quality.astype(np.float64),
        bound=found.bound.astype(np.float64),
        costs=costs.costs(table.texts, lengths),
        num_tokens=lengths,
    )


def fit_costs(forecaster: Forecaster, table: Table) -> CostModel:
    """Return the cost model of prompts that the forecaster was not fitted on."""
    lengths = forecaster.forecast(table.examples.features).num_tokens.astype(np.float64)
    return CostModel.fit(table.texts, lengths, table.costs)


def _terms(texts: Sequence[str], num_tokens: Doubles) -> Doubles:
    """Return [n, 3]: one, the characters of the prompt, the tokens of the answer."""
    lengths = np.array([len(text) for text in texts], np.float64)
    return np.stack([np.ones(len(texts)), lengths, np.nan_to_num(num_tokens)], axis=1)
