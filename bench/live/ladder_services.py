"""The ladder's tiers as services, its router with a predictor and a stopping policy."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiercel import tiers
from tiercel.errors import InvalidRequest
from tiercel.evaluation.frontier.fold import PROBE_TOKENS
from tiercel.evaluation.matrix import Cells
from tiercel.evaluation.step_cost import StepTimes
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.models.resolve import resolve
from tiercel.stopping.fitting import fit
from tiercel.stopping.policy_file import save
from tiercel.stopping.recorded import stage_data
from tiercel.tiers import Configuration, Setting, Tier
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message


@dataclass(frozen=True)
class Ladder:
    """Tiers that answer alone, cheap ones first, each a plan of its own name."""

    configuration: Configuration
    names: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Ladder":
        """Return the plans of one tier each of a configuration; raises InvalidRequest."""
        configuration = tiers.load(path)
        names = [name for name, plan in configuration.plans.items() if plan.tier == name]
        if len(names) < 2:
            raise InvalidRequest("config", str(path), "needs two plans named like their one tier")
        return cls(configuration, tuple(names))

    def written(self, settings: Mapping[str, Setting]) -> str:
        """Return a configuration of these tiers alone, with settings of the router."""
        parts = [f"default_plan = {json.dumps(self.names[-1])}"]
        parts += [_section(name, self.configuration.tiers[name]) for name in self.names]
        parts += ["[plans]", *(f"{json.dumps(name)} = {json.dumps(name)}" for name in self.names)]
        parts += ['[router]\naddress = "localhost:50050"', "[router.settings]"]
        return "\n".join([*parts, *_lines(settings), ""])

    def tokenizers(self) -> dict[str, Tokenizer]:
        """Return each tier's tokenizer; raises ModelUnavailable."""
        models = {name: self.configuration.tiers[name].model for name in self.names}
        return {
            name: resolve(model or DEFAULT_MODEL).read_tokenizer() for name, model in models.items()
        }


def _section(name: str, tier: Tier) -> str:
    fields = {"service": tier.service, "engine": tier.engine, "model": tier.model}
    known = {key: value for key, value in {**fields, "dtype": tier.dtype}.items() if value}
    head = [f"[tiers.{json.dumps(name)}]", *_lines(known)]
    head.append(f"addresses = {json.dumps(list(tier.addresses))}")
    return "\n".join([*head, f"[tiers.{json.dumps(name)}.settings]", *_lines(tier.settings)])


def _lines(settings: Mapping[str, Setting]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in settings.items()]


def fit_stopping(
    cells: Sequence[Cells],
    ladder: Ladder,
    sets: Sequence[str],
    times: StepTimes,
    cost_weight: float,
    path: Path,
) -> None:
    """Fit a stopping policy to the whole matrix, for the check point that is replayed too."""
    data = stage_data(cells, ladder.names, sets, times, prefix_tokens=PROBE_TOKENS)
    save(fit(data, cost_weight, recall=False), path)


def prompt_counter(
    tokenizers: Mapping[str, Tokenizer], messages: Sequence[Message]
) -> Callable[[str], int]:
    """Return what tells how many tokens a conversation has for a tier."""
    return lambda tier: len(tokenizers[tier].render(list(messages)))
