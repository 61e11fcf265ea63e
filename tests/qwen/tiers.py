"""Tiers of real models on the native engine."""

from dataclasses import dataclass

from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tiercel import engines

SMOLLM2 = "smollm2-135m"


class NativeModels(Models):
    """Loads models on the native engine, as many copies as there are tiers."""

    def _load(self, weights: Weights) -> engines.Loaded:
        return engines.load("native", weights.model, max_length=1024)


@dataclass(frozen=True)
class Qwen:
    """The tiers that the tests share."""

    fleet: Fleet
    large: Replica  # 1.5B
    small: Replica  # 0.5B
    twin: Replica  # the same
    foreign: Replica  # SmolLM2, of another tokenizer
    suffix: Replica  # no model
