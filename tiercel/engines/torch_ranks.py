"""The ranks of a tensor-parallel model, together: how they meet, add up and join."""

from datetime import timedelta

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

_HOST = "127.0.0.1"
# Within a pass no rank waits for long; a wait longer than this is a rank that hangs.
_TIMEOUT = timedelta(seconds=60)


def opened_store(num_ranks: int) -> TCPStore:
    """Return the place where the ranks meet, at a free port; rank 0 holds it."""
    return TCPStore(_HOST, 0, num_ranks, True, _TIMEOUT, wait_for_workers=False)


def found_store(port: int, num_ranks: int) -> TCPStore:
    """Return the place where rank 0 waits."""
    return TCPStore(_HOST, port, num_ranks, False, _TIMEOUT)


def meet(store: TCPStore, rank: int, num_ranks: int, device_type: str) -> None:
    """Wait until all ranks are here; raises RuntimeError if some are not after a minute."""
    distributed.init_process_group(
        "nccl" if device_type == "cuda" else "gloo",
        store=store,
        rank=rank,
        world_size=num_ranks,
        timeout=_TIMEOUT,
    )


class Ranks:
    """One rank among `num_ranks` that have met; with one alone, nothing is sent."""

    def __init__(self, num_ranks: int = 1) -> None:
        """Use torch's default process group."""
        self.num_ranks = num_ranks

    def added_up(self, part: torch.Tensor) -> torch.Tensor:
        """Return the sum of all ranks' tensors, on each of them; overwrites `part`."""
        if self.num_ranks > 1:
            distributed.all_reduce(part)
        return part

    def joined(self, part: torch.Tensor) -> torch.Tensor:
        """Return all ranks' tensors side by side along the last axis, on each of them."""
        if self.num_ranks == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.num_ranks)]
        distributed.all_gather(parts, part)
        return torch.cat(parts, dim=-1)
