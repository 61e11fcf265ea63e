"""The pictures of the benchmarks are drawn from what the benchmarks write."""

from pathlib import Path

import numpy as np
from matplotlib.image import imread

from bench.plots import draw_clients, draw_ratios


def test_each_peer_has_a_bar(tmp_path: Path):
    def ratio(other: str, mean: float):
        interval = {"mean": mean, "low": 0.9 * mean, "high": 1.2 * mean}
        return {"ours": "us", "other": other, "task": None, "whole": interval}

    drawn = []
    for count in (1, 4):
        results = {"ratios": [ratio(f"peer {index}", 1.5 + index) for index in range(count)]}
        draw_ratios(results, "us", tmp_path / "ratios.png")
        drawn.append(imread(tmp_path / "ratios.png"))
    assert drawn[1].shape[0] > drawn[0].shape[0]
    assert all(_num_blue(picture) > 1000 for picture in drawn)


def test_clients_are_drawn_by_system(tmp_path: Path):
    def wave(system: str, size: int, seconds: float):
        arrivals = [[(1, seconds / 2), (8, seconds)]] * size
        return {"system": system, "round": 0, "num_clients": size, "arrivals": arrivals}

    samples = [wave(name, size, 1.0) for name in ("a", "b") for size in (1, 8)]
    draw_clients({"samples": samples}, tmp_path / "clients.png")
    assert imread(tmp_path / "clients.png").std() > 0


def _num_blue(picture: np.ndarray) -> int:
    red, _, blue = np.moveaxis(picture[..., :3], -1, 0)
    return int(((blue - red) > 0.2).sum())
