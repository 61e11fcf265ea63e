"""One rank of a torch model, alone or among several: its weights, its pages, its passes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tiercel.engines.torch_cache import PAGE_SIZE
from tiercel.engines.torch_decoder import Decoder, PassInputs, arena
from tiercel.engines.torch_passes import PassShape
from tiercel.engines.torch_ranks import Ranks
from tiercel.engines.torch_steady import SteadyPasses
from tiercel.engines.torch_weights import Share, WeightsReader
from tiercel.errors import InvalidRequest
from tiercel.models.weights import Weights

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# Of what is free on a GPU after loading; the rest is for activations and logits.
_SHARE_FOR_CACHES = 0.85


@dataclass(frozen=True)
class RankSettings:
    """What every rank must be told alike; an empty dtype is bf16 on CUDA, else fp32."""

    dtype: str = ""
    device: str = "auto"
    threads: int = 0
    num_ranks: int = 1

    def dtype_name(self) -> str:
        """Return the number format; raises InvalidRequest for one that is not to be had."""
        chosen = self.dtype or ("bf16" if self.device_of(0).type == "cuda" else "fp32")
        if chosen not in DTYPES:
            names = ", ".join(DTYPES)
            raise InvalidRequest("dtype", chosen, f"the torch engine knows {names}")
        return chosen

    def device_of(self, rank: int) -> torch.device:
        """Return where a rank runs: from the named CUDA device on, one each; or all on the CPU."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise InvalidRequest("device", name, "is no device that torch knows") from error
        if device.type != "cuda":
            return device
        index = (device.index or 0) + rank
        if index >= torch.cuda.device_count():
            count = torch.cuda.device_count()
            raise InvalidRequest("device", name, f"there are {count} CUDA devices for {index + 1}")
        return torch.device("cuda", index)


@dataclass(frozen=True)
class PassResults:
    """The wanted rows of a pass, on the device: [rows, hidden_size], [rows, vocab_size]."""

    hidden: torch.Tensor
    logits: torch.Tensor  # float32


class TorchRank:
    """One rank's share of a model."""

    def __init__(self, weights: Weights, settings: RankSettings, rank: int = 0) -> None:
        """Load the weights."""
        self.device = settings.device_of(rank)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._config = weights.config
        self._num_ranks = settings.num_ranks
        share = Share(rank, settings.num_ranks)
        self._weights = WeightsReader(
            weights, share, DTYPES[settings.dtype_name()], self.device
        ).read()

    def most_cache_tokens(self) -> int | None:
        """Return how many tokens' keys and values fit beside the weights; None on the CPU."""
        if self.device.type != "cuda":
            return None
        torch.cuda.empty_cache()  # what loading needed for a while
        free, _ = torch.cuda.mem_get_info(self.device)
        heads, config = self._weights.num_kv_heads, self._config
        size = self._weights.embedding.element_size()
        bytes_per_token = 2 * config.num_layers * heads * config.head_dim * size
        return int(free * _SHARE_FOR_CACHES) // bytes_per_token

    def open(self, *, cache_tokens: int) -> int:
        """Set up the pages for so many tokens and return their number, page 0 included."""
        num_pages = 1 + cache_tokens // PAGE_SIZE
        pages = arena(self._config, self._weights, num_pages)
        ranks = Ranks(self._num_ranks)
        self._decoder = Decoder(self._config, self._weights, pages, ranks)
        self._steady = SteadyPasses(self._decoder.hidden)
        return num_pages

    @torch.inference_mode()
    def run(
        self, shape: PassShape, integers: NDArray[np.int64], *, steadily: bool
    ) -> PassResults | None:
        """Run one pass; return its wanted rows, None if there is none."""
        inputs = PassInputs(shape, self._moved(integers))
        self._decoder.keep_up(inputs)
        hidden = self._steady(inputs) if steadily else self._decoder.hidden(inputs)
        if not shape.num_wanted:
            return None
        wanted = hidden.index_select(0, inputs.parts()["wanted"])
        return PassResults(wanted, self._decoder.logits(wanted))

    def _moved(self, integers: NDArray[np.int64]) -> torch.Tensor:
        tensor = torch.from_numpy(integers)
        if self.device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)
