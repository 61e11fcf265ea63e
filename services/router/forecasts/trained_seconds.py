"""Seconds by the model that `tiercel train` fitted on recorded outcomes, where nothing is live."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiercel.plan_text import Outline, parse_plan
from tiercel.prediction.predictor import Predictor
from tiercel.wire.requests import Prompt


@dataclass(frozen=True)
class Trained:
    """What it says of one prompt; plans and roots that it does not know are absent."""

    seconds: Mapping[str, float] = field(default_factory=dict)  # by plan
    num_tokens: Mapping[str, float] = field(default_factory=dict)  # by root
    acceptance: Mapping[str, float] = field(default_factory=dict)  # by "drafter under verifier"


class TrainedSeconds:
    """A predictor, and the plans that are configured as they were when outcomes were recorded."""

    def __init__(self, predictor: Predictor, plans: Mapping[str, Outline]) -> None:
        recorded = {name: parse_plan(text) for name, text in predictor.manifest.plans.items()}
        self._predictor = predictor
        self.plan_names = {
            name for name in plans if name in recorded and _is_of(recorded[name], plans[name])
        }

    def predict(self, prompt: Prompt, *, temperature: float, max_new_tokens: int) -> Trained:
        """Return what each such plan would take."""
        said = self._predictor.predict(
            prompt, temperature=temperature, max_new_tokens=max_new_tokens
        )
        seconds = {name: value for name, value in said.seconds.items() if name in self.plan_names}
        return Trained(seconds, said.num_tokens, said.acceptance)


def _is_of(recorded: Outline, configured: Outline) -> bool:
    """Whether a plan was recorded as it is configured now; what is left open may be anything."""
    number, confidence = configured.num_speculative_tokens, configured.draft_confidence
    return (
        recorded.tier == configured.tier
        and number in (None, recorded.num_speculative_tokens)
        and (confidence or None) in (None, recorded.draft_confidence)
        and len(recorded.drafters) == len(configured.drafters)
        and all(map(_is_of, recorded.drafters, configured.drafters))
    )
