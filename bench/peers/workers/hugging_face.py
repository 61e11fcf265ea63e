"""Answers with transformers' generate: plain, assisted by a quantized copy, or by prompt lookup."""

import copy
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
import transformers

from bench.peers.workers import pipe
from bench.peers.workers.pipe import Answer, Question, Stopwatch

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PROBE = Question("", [1, 4093, 198, 28120, 253, 2560, 2, 198] * 8, [], 24)


class _Counting:
    """A streamer that notes each arrival of tokens; the first one is the prompt."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._past_prompt = False

    def put(self, value: Any) -> None:
        """Take tokens."""
        if self._past_prompt:
            self._watch.answer.token_ids += value.flatten().tolist()
            self._watch.arrived(len(self._watch.answer.token_ids))
        self._past_prompt = True

    def end(self) -> None:
        """Take the end."""


def load(options: dict[str, Any]) -> tuple[pipe.Ask, dict[str, Any]]:
    """Load `folder` in the faster of fp32 and bf16, tried in the very `mode` that is measured."""
    torch.set_num_threads(options["threads"])
    transformers.logging.set_verbosity_error()
    asks = {name: _ask_of(options, dtype) for name, dtype in _DTYPES.items()}
    seconds = {name: _probe_s(ask) for name, ask in asks.items()}
    best = min(seconds, key=lambda name: seconds[name])
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    return asks[best], {"dtype": best, "seconds_of_a_probe": seconds, **versions}


def _ask_of(options: dict[str, Any], dtype: torch.dtype) -> pipe.Ask:
    model = _read(options["folder"], dtype)
    extra = _MODES[options["mode"]](options)

    def ask(question: Question) -> Answer:
        prompt = torch.tensor([question.token_ids])
        watch = Stopwatch()
        with torch.inference_mode():
            model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=question.max_new_tokens,
                do_sample=False,
                eos_token_id=question.eos_ids or None,
                pad_token_id=0,
                streamer=_Counting(watch),
                **extra,
            )
        return watch.answer

    return ask


def _assisted(options: dict[str, Any]) -> dict[str, Any]:
    """Return the only assistant at hand for a model this small: its own copy in 8-bit integers."""
    model = _read(options["folder"], torch.float32)
    with warnings.catch_warnings(action="ignore"):
        quantized = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(model), {torch.nn.Linear}, dtype=torch.qint8
        )
    return {"assistant_model": quantized}


_MODES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "plain": lambda options: {},
    "assisted": _assisted,
    "lookup": lambda options: {"prompt_lookup_num_tokens": options["lookup_tokens"]},
}


def _read(folder: str, dtype: torch.dtype) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    model.generation_config.eos_token_id = None
    return model


def _probe_s(ask: pipe.Ask) -> float:
    ask(_PROBE)
    began = time.perf_counter()
    ask(_PROBE)
    return time.perf_counter() - began


if __name__ == "__main__":
    pipe.serve(load)
