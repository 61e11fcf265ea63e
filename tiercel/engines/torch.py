"""A language model of the llama family on PyTorch, on CPU or CUDA, many sequences in one pass.

This is rank 0, which serves: it decides which tokens a pass has and where their keys and values
go. With several GPUs the other ranks are processes that follow it (`torch_followers`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from tiercel.engines.bit_exactness import is_bit_exact
from tiercel.engines.checks import capped_length, check_prefix, check_steps
from tiercel.engines.language_model import Cache, Logits, Step
from tiercel.engines.numerics import numerics_id
from tiercel.engines.torch_cache import (
    PAGE_SIZE,
    PagePool,
    TorchCache,
    check_room,
    own,
    pages_for,
)
from tiercel.engines.torch_followers import Followers
from tiercel.engines.torch_passes import Piece, cut_into_passes, laid_out, laid_out_as
from tiercel.engines.torch_rank import RankSettings, TorchRank
from tiercel.engines.torch_results import Results
from tiercel.engines.torch_steady import steady_grid
from tiercel.engines.torch_trees import Paths
from tiercel.errors import InvalidRequest, Overloaded
from tiercel.models.resolve import Checkpoint
from tiercel.types import ModelDescription

# Rows of one pass, which bound the memory of its activations; and how many sequences of full
# length the caches hold together if nothing else is asked for.
_ON_CPU, _ON_CUDA = (256, 16), (2048, 64)


@dataclass(frozen=True)
class TorchSettings:
    """How a model is run. `cache_tokens` is what the caches of all sessions hold together."""

    rank: RankSettings = field(default_factory=RankSettings)
    max_length: int | None = None
    cache_tokens: int | None = None
    steady: bool | None = None  # round shapes up and replay them; None: on one CUDA device


def load_model(
    checkpoint: Checkpoint, settings: TorchSettings, on_lost: Callable[[str], None]
) -> "TorchModel":
    """Load the model on all its ranks; `on_lost` is told if one of the others ends too soon.

    Raises InvalidRequest for settings that cannot be honoured, ModelUnavailable if a rank cannot
    load.
    """
    if settings.rank.num_ranks == 1:
        return TorchModel(checkpoint, settings)
    capped_length(checkpoint.weights.config.context_length, settings.max_length)
    followers = Followers(checkpoint.path, settings.rank, on_lost)
    try:
        return TorchModel(checkpoint, settings, followers)
    except BaseException:
        followers.close()
        raise


class TorchModel:
    """A causal language model whose sequences share passes and one arena of pages."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        settings: TorchSettings | None = None,
        followers: Followers | None = None,
    ) -> None:
        """Load the weights and set up the caches; with `followers`, as the first rank of all."""
        settings = settings or TorchSettings()
        config = checkpoint.weights.config
        held = capped_length(config.context_length, settings.max_length)
        self._vocab_size = config.vocab_size
        self._rank = TorchRank(checkpoint.weights, settings.rank)
        self._followers = followers
        on_cuda = self._rank.device.type == "cuda"
        self._max_rows, sequences = _ON_CUDA if on_cuda else _ON_CPU
        self._is_steady = on_cuda and not followers if settings.steady is None else settings.steady
        self._pool = PagePool(self._open(settings.cache_tokens, sequences * held, followers))
        self._max_length = config.context_length  # the probe may need more than the cap
        bit_exact = is_bit_exact(self, self._vocab_size)
        self._max_length = held
        self._description = ModelDescription(
            name=checkpoint.name,
            engine="torch",
            dtype=settings.rank.dtype_name(),
            vocab_size=config.vocab_size,
            max_length=held,
            numerics_id=self._numerics_id(checkpoint.weights.digest, settings.rank),
            bit_exact=bit_exact,
            num_parameters=config.num_parameters,
            hidden_size=config.hidden_size,
            weights_digest=checkpoint.weights.digest,
            max_batch_rows=self._max_rows,
            copies_prefixes=True,
            takes_trees=True,
        )

    @property
    def description(self) -> ModelDescription:
        """What this model is."""
        return self._description

    @property
    def num_free_tokens(self) -> int:
        """How many tokens more the caches take."""
        return self._pool.num_free * PAGE_SIZE

    def open(self, prefix: Cache | None = None, length: int = 0) -> TorchCache:
        """Return a new cache that shares the first `length` tokens of `prefix` until it grows."""
        if prefix is None:
            return TorchCache(self._pool)
        source = own(prefix)
        check_prefix(source.length, length)
        return TorchCache(self._pool, source.pages[: pages_for(length)], length)

    def extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append all steps' tokens in one pass, or in few if there are over `max_batch_rows`.

        Raises Overloaded, before any cache is touched, if they do not fit into the caches.
        """
        check_steps(
            steps, vocab_size=self._vocab_size, max_length=self._max_length, takes_trees=True
        )
        paths = Paths(steps)
        try:
            return paths.joined(self._extend(paths.steps))
        except BaseException:
            paths.drop()
            raise

    def _extend(self, steps: Sequence[Step]) -> list[Logits]:
        """Append the tokens of steps without trees."""
        caches = [own(step.cache) for step in steps]
        check_room(self._pool, caches, [len(step.tokens) for step in steps])
        starts = [cache.length for cache in caches]
        for cache, step in zip(caches, steps, strict=True):
            cache.grow(len(step.tokens))
        try:
            return self._passed(steps, caches, starts)
        except BaseException as error:
            for cache, start in zip(caches, starts, strict=True):
                cache.clear_from(start)
            for cache, start in zip(caches, starts, strict=True):
                if not cache.closed:  # as forks are, once their trunk is cut
                    cache.truncate(start)
            if isinstance(error, torch.OutOfMemoryError):
                raise Overloaded("the GPU has no memory for this pass") from error
            raise

    def close(self) -> None:
        """Give back weights and pages, and let the other ranks end."""
        del self._rank
        if self._followers:
            self._followers.close()

    def _passed(
        self, steps: Sequence[Step], caches: Sequence[TorchCache], starts: Sequence[int]
    ) -> list[Logits]:
        results = Results(steps, self._vocab_size)
        pages = [cache.pages for cache in caches]
        for pieces in cut_into_passes(steps, starts, pages, self._max_rows):
            self._pass(pieces, results)
        return results.finished()

    def _pass(self, pieces: Sequence[Piece], results: Results) -> None:
        grid = steady_grid(pieces) if self._is_steady else None
        upkeep, steadily = self._pool.drained_upkeep(), grid is not None
        layout = laid_out_as(pieces, upkeep, grid) if grid else laid_out(pieces, upkeep)
        run = partial(self._rank.run, layout.shape, layout.integers, steadily=steadily)
        found = self._followers.lead(layout, steadily, run) if self._followers else run()
        if found is not None:
            results.add(layout.pieces, found)

    def _open(self, asked: int | None, default: int, followers: Followers | None) -> int:
        """Set up the caches of all ranks and return the number of pages."""
        possible = [self._rank.most_cache_tokens()]
        possible += followers.most_cache_tokens if followers else []
        most = min((tokens for tokens in possible if tokens is not None), default=None)
        if asked is not None and not PAGE_SIZE <= asked <= (most or asked):
            why = f"the caches can hold {PAGE_SIZE} to {most} tokens beside the weights"
            raise InvalidRequest("cache_tokens", asked, why)
        tokens = asked or min(default, most or default)
        if followers:
            followers.join(cache_tokens=tokens)
        return self._rank.open(cache_tokens=tokens)

    def _numerics_id(self, digest: str, settings: RankSettings) -> str:
        on_gpu = self._rank.device.type == "cuda"
        return numerics_id(
            digest,
            settings.dtype_name(),
            f"torch {torch.__version__}",
            f"steady {self._is_steady}",
            f"ranks {settings.num_ranks}",
            torch.cuda.get_device_name(self._rank.device) if on_gpu else "cpu",
            "" if on_gpu else f"threads {torch.get_num_threads()}",
        )
