"""Runs systems in turns over the same prompts and keeps every time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.gpu.runs import System
from bench.gpu.shapes import Case, checkpoint_of
from bench.peers.systems import PROMPTS
from tiercel.cli.bench.prompts import read_prompts
from tiercel.types import Message


@dataclass(frozen=True)
class Sample:
    """One run of one system: whole answers, prompts included."""

    system: str
    num_sessions: int
    round: int
    num_tokens: int
    seconds: float
    acceptance: float | None

    @property
    def rate(self) -> float:
        """Tokens a second over all sessions."""
        return self.num_tokens / self.seconds


def prompts_for(case: Case, count: int, most_tokens: int) -> list[list[int]]:
    """Return prompts between half of and all of `most_tokens` long: text where there is any."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(most_tokens // 2, most_tokens, size=count, endpoint=True)
    if case.target is not None:
        return [generator.integers(1, case.target.vocab_size, size=n).tolist() for n in lengths]
    tokenizer = checkpoint_of(None).read_tokenizer()
    texts = [tokenizer.render([Message("user", one.text)]) for one in read_prompts(PROMPTS)]
    return [(texts[n % len(texts)] * most_tokens)[-length:] for n, length in enumerate(lengths)]


def measured(
    systems: Sequence[System], prompts: list[list[int]], num_tokens: int, rounds: int
) -> tuple[list[Sample], dict[str, str]]:
    """Return a sample of each system and round, and why a system gave none."""
    able = [one for one in systems if len(prompts) <= (one.most_sessions or len(prompts))]
    missing = {
        one.name: f"decodes {one.most_sessions} at a time" for one in systems if one not in able
    }
    for system in list(able):
        try:
            system.decode(prompts, num_tokens)
        except Exception as error:  # whatever a peer raises: the others are measured
            able.remove(system)
            missing[system.name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    samples = []
    for number in range(rounds if able else 0):
        first = number % len(able)
        for system in [*able[first:], *able[:first]]:
            samples.append(_sample(system, prompts, num_tokens, number))
    return samples, missing


def _sample(system: System, prompts: list[list[int]], num_tokens: int, number: int) -> Sample:
    began = time.perf_counter()
    run = system.decode(prompts, num_tokens)
    seconds = time.perf_counter() - began
    return Sample(system.name, len(prompts), number, run.num_tokens, seconds, run.acceptance)
