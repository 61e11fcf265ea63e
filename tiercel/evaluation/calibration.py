"""Times a model's steps on this machine, which should be idle: passes by width, and prompts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from tiercel.engines.language_model import Cache, LanguageModel, Step
from tiercel.evaluation.step_cost import TierTimes

# Tokens of a prompt in one pass, as where outcomes are collected.
_CHUNK = 256


@dataclass(frozen=True)
class Protocol:
    """What is timed, each `repeats` times; the medians count."""

    widths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 8, 12, 16)
    context: int = 200  # tokens before a pass
    prompts: tuple[int, int] = (64, 512)  # tokens of two prompts, between which costs are a line
    repeats: int = 7


def timed(model: LanguageModel, protocol: Protocol, threads: int) -> TierTimes:
    """Return what the steps of a model take that was loaded with so many threads."""
    short, long = protocol.prompts
    prompt_s = {each: _prompt_seconds(model, each, protocol.repeats) for each in protocol.prompts}
    token_s = max(0.0, (prompt_s[long] - prompt_s[short]) / (long - short))
    return TierTimes(
        numerics_id=model.description.numerics_id,
        threads=threads,
        prefill_s=max(0.0, prompt_s[short] - short * token_s),
        prompt_token_s=token_s,
        pass_s=_pass_seconds(model, protocol),
    )


def _pass_seconds(model: LanguageModel, protocol: Protocol) -> dict[int, float]:
    cache = model.open()
    try:
        _read(model, cache, _tokens(model, protocol.context))
        found = {}
        for width in sorted({1, *protocol.widths}):

            def one_pass(width: int = width) -> None:
                model.extend([Step(cache, _tokens(model, width), width)])

            def back() -> None:
                cache.truncate(protocol.context)

            found[width] = _median_seconds(one_pass, back, protocol.repeats)
        return found
    finally:
        cache.close()


def _prompt_seconds(model: LanguageModel, length: int, repeats: int) -> float:
    cache = model.open()
    try:
        tokens = _tokens(model, length)
        return _median_seconds(
            lambda: _read(model, cache, tokens), lambda: cache.truncate(0), repeats
        )
    finally:
        cache.close()


def _median_seconds(work: Callable[[], None], back: Callable[[], None], repeats: int) -> float:
    """Time `work`, `back` undoing it each time; the first time does not count."""
    found = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
        back()
    return median(found[1:])


def _read(model: LanguageModel, cache: Cache, tokens: Sequence[int]) -> None:
    for start in range(0, len(tokens), _CHUNK):
        piece = tokens[start : start + _CHUNK]
        model.extend([Step(cache, piece, int(start + _CHUNK >= len(tokens)))])


def _tokens(model: LanguageModel, count: int) -> list[int]:
    vocab_size = model.description.vocab_size
    return [(7 * place + 11) % vocab_size for place in range(count)]
