"""What a distilled drafter would have drafted in texts that are given."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

from services.drafter.given_texts import given_texts
from services.drafter.suffix_scores import NO_CHOICE
from tiercel.descriptions import Speed
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.onnx_cache import OnnxCache
from tiercel.errors import Unsupported
from tiercel.scores import Choice, ScoreAsk, ScoredContinuation
from tiercel.speculation.scoring import check_scored, chosen
from tiercel.speculation.speed import SpeedMeter
from tiercel.types import SamplingParams

# Tokens that are looked at before the drafts of open sessions get their turn.
_PIECE = 16


class DistilledScorer:
    """Scores with a drafter that works on the tokens of the answer alone."""

    def __init__(self, tier: str, model: DistilledModel, executor: Executor) -> None:
        self._tier, self._model, self._executor = tier, model, executor
        self._meter = SpeedMeter()

    @property
    def speed(self) -> Speed:
        """How fast the drafter scored of late: a token at a time, as it drafts."""
        return self._meter.speed

    async def scored(self, ask: ScoreAsk) -> list[ScoredContinuation]:
        """Return the choices in every place; there is none in the first, with nothing to go by.

        Raises InvalidRequest and TokenizerMismatch, and Unsupported for a drafter that needs its
        target's hidden states.
        """
        manifest = self._model.manifest
        if manifest.shape.uses_hidden:
            why = f"{self._tier} drafts from hidden states of {manifest.target}"
            raise Unsupported(f"{why}: without these it cannot score")
        texts = given_texts(
            ask,
            self._tier,
            vocab_size=manifest.vocab_size,
            fingerprint=manifest.tokenizer_fingerprint,
        )
        check_scored(texts.continuations, 0, self._model.max_length)
        return [await self._continuation(ids, ask.sampling) for ids in texts.continuations]

    async def _continuation(
        self, ids: tuple[int, ...], sampling: SamplingParams
    ) -> ScoredContinuation:
        loop = asyncio.get_running_loop()
        cache, choices, offset = self._model.open(), [NO_CHOICE], 0
        try:
            for start in range(0, len(ids) - 1, _PIECE):
                piece = ids[start : min(start + _PIECE, len(ids) - 1)]
                work = partial(self._choices, cache, piece, sampling, offset)
                choices += await loop.run_in_executor(self._executor, work)
                offset += int(self._model.widths[list(piece)].sum())
        finally:
            self._executor.submit(cache.close)
        return ScoredContinuation(ids, tuple(choices))

    def _choices(
        self, cache: OnnxCache, ids: Sequence[int], sampling: SamplingParams, offset: int
    ) -> list[Choice]:
        """Return what follows each of `ids`, the first of which begins at byte `offset`."""
        choices, began = [], time.perf_counter()
        for token_id in ids:
            offset += int(self._model.widths[token_id])
            _, logits = self._model.extend(cache, [token_id], None)
            choice = chosen(logits, sampling, self._model.vocabulary, offset)
            assert choice.token_id is not None, "logits always give a token"
            choices.append(Choice(self._model.token_id(choice.token_id), choice.prob))
        self._meter.note_pass(1, (time.perf_counter() - began) / len(ids))
        return choices
