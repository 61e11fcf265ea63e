"""A rank of a tensor-parallel model that follows rank 0; `torch_followers` starts it.

It reads orders from its standard input and ends with it.
"""

import json
import os
import sys
from typing import IO, Any

import numpy as np

from tiercel.engines.torch_passes import Grid, PassShape
from tiercel.engines.torch_rank import RankSettings, TorchRank
from tiercel.engines.torch_ranks import found_store, meet
from tiercel.errors import TiercelError
from tiercel.models.resolve import resolve


def main() -> None:
    """Load a share of a model, report it, and run every pass that rank 0 runs."""
    reports = _own_output()
    told = json.loads(sys.argv[1])
    settings = RankSettings(**told["settings"])
    try:
        rank = TorchRank(resolve(told["model"]).weights, settings, told["rank"])
    except TiercelError as error:
        _write(reports, {"error": str(error)})
        raise SystemExit(2) from None
    _write(reports, {"most_cache_tokens": rank.most_cache_tokens()})
    orders = sys.stdin.buffer
    if line := orders.readline():
        start = json.loads(line)
        store = found_store(start["port"], settings.num_ranks)
        meet(store, told["rank"], settings.num_ranks, rank.device.type)
        rank.open(cache_tokens=start["cache_tokens"])
        _follow(rank, orders)


def _follow(rank: TorchRank, orders: IO[bytes]) -> None:
    while line := orders.readline():
        order = json.loads(line)
        integers = np.frombuffer(bytearray(orders.read(order["num_bytes"])), np.int64)
        rank.run(_shape(order["shape"]), integers, steadily=order["steadily"])


def _shape(parts: dict[str, Any]) -> PassShape:
    grids = tuple(Grid(*grid) for grid in parts["grids"])
    return PassShape(**{**parts, "grids": grids})


def _own_output() -> IO[str]:
    """Return the standard output, which from now on is only ours; libraries get the error one."""
    reports = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return reports


def _write(reports: IO[str], report: dict[str, Any]) -> None:
    print(json.dumps(report), file=reports, flush=True)


if __name__ == "__main__":
    main()
