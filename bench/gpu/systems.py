"""The systems that are compared on one case, loaded side by side on one device."""

from dataclasses import dataclass
from typing import Any

from bench.gpu.hugging_face import Generate, PrescribedAssistance, loaded
from bench.gpu.ours import Drafter, LookupDrafts, NoDrafts, Ours, PrescribedDrafts
from bench.gpu.runs import System
from bench.gpu.shapes import Case, checkpoint_of
from tiercel.engines.torch import TorchModel, TorchSettings
from tiercel.engines.torch_rank import DTYPES, RankSettings
from tiercel.models.weights import ModelConfig

GENERATE = "transformers generate"
_LOOKUP_TOKENS = 8


@dataclass(frozen=True)
class Setting:
    """Where models run, and what their caches must hold."""

    rank: RankSettings
    length: int
    num_sessions: int

    def model(self, config: ModelConfig | None) -> TorchModel:
        """Return a model on our engine, with room for all sessions and for blocks of drafts."""
        tokens = (self.length + 64) * (self.num_sessions + 1)
        return TorchModel(checkpoint_of(config), TorchSettings(self.rank, cache_tokens=tokens))

    def peer(self, config: ModelConfig | None) -> Any:
        """Return the same on transformers."""
        return loaded(config, DTYPES[self.rank.dtype_name()], self.rank.device_of(0))


def systems_of(case: Case, setting: Setting) -> tuple[list[System], dict[str, str]]:
    """Load the case's models; return all systems, and why one of them is missing."""
    ours, peer = setting.model(case.target), setting.peer(case.target)
    drafter = _drafter(case, setting)
    systems = [
        System("tiercel torch", Ours(ours, NoDrafts()).decode),
        System(f"tiercel torch, {_name(case)}", Ours(ours, drafter).decode),
        System(GENERATE, Generate(peer).decode),
        System(f"transformers, {_name(case)}", _assisted(case, setting, peer).decode, 1),
    ]
    if setting.rank.device_of(0).type == "cuda":
        static = Generate(peer, cache_implementation="static")
        systems.append(System(f"{GENERATE}, static cache, compiled", static.decode))
        return systems, {}
    return systems, {f"{GENERATE}, static cache, compiled": "needs a GPU"}


def _name(case: Case) -> str:
    if case.drafter is None:
        return f"lookup of {_LOOKUP_TOKENS}"
    return f"drafts of {case.num_speculative_tokens}"


def _drafter(case: Case, setting: Setting) -> Drafter:
    if case.drafter is None:
        return LookupDrafts(_LOOKUP_TOKENS)
    model = setting.model(case.drafter)
    return PrescribedDrafts(model, case.num_speculative_tokens, case.acceptance)


def _assisted(case: Case, setting: Setting, peer: Any) -> Generate:
    if case.drafter is None:
        return Generate(peer, prompt_lookup_num_tokens=_LOOKUP_TOKENS)
    return PrescribedAssistance(
        peer, setting.peer(case.drafter), case.num_speculative_tokens, case.acceptance
    )
