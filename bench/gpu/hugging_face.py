"""Greedy decoding with transformers: generate, with a static cache, assisted, or prompt lookup."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import transformers

from bench.gpu.runs import Run
from tiercel.models.embedded import DEFAULT_MODEL, embedded_file
from tiercel.models.weights import ModelConfig

_library: Any = transformers  # its functions are typed in part


def loaded(config: ModelConfig | None, dtype: torch.dtype, device: torch.device) -> Any:
    """Return the embedded model, or one of a shape with weights that its own library draws."""
    _library.logging.set_verbosity_error()
    _library.logging.disable_progress_bar()
    if config is None:
        path = embedded_file(DEFAULT_MODEL)
        model = _library.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=dtype
        ).to(device)
    else:
        model = _of_shape(config, dtype, device)
    model.generation_config.eos_token_id = None
    return model.eval()


def _of_shape(config: ModelConfig, dtype: torch.dtype, device: torch.device) -> Any:
    shape = asdict(config)
    llama = _library.LlamaConfig(
        **{name: shape[name] for name in ("head_dim", "hidden_size", "intermediate_size")},
        vocab_size=config.vocab_size,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        max_position_embeddings=config.context_length,
        rms_norm_eps=config.norm_epsilon,
        tie_word_embeddings=config.tied_embeddings,
        bos_token_id=0,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device):
        return _library.AutoModelForCausalLM.from_config(llama, dtype=dtype)


class Generate:
    """Calls `generate` on prompts of any lengths, padded on the left."""

    def __init__(self, model: Any, **options: Any) -> None:
        self._model, self._options = model, options

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> Run:
        """Decode exactly so many tokens for each prompt."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with torch.inference_mode():
            answer = self._model.generate(
                ids.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=num_tokens,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
                **self._options,
            ).cpu()  # waits for the device
        return Run(num_tokens=len(prompts) * (answer.shape[1] - width))


class PrescribedAssistance(Generate):
    """Assisted generation whose drafts cost what they cost, each accepted with a set chance.

    A logits processor makes the target choose the draft, or anything else. It finds the drafts by
    listening to the library's own source of candidates.
    """

    def __init__(self, model: Any, assistant: Any, num_tokens: int, acceptance: float) -> None:
        settings = assistant.generation_config
        settings.num_assistant_tokens = num_tokens
        settings.num_assistant_tokens_schedule = "constant"
        settings.assistant_confidence_threshold = 0.0
        super().__init__(model, assistant_model=assistant, logits_processor=[self._prescribed])
        self._acceptance, self._random = acceptance, np.random.default_rng(0)
        self._candidates: torch.Tensor | None = None
        self._run = Run()
        self._make_source = model._get_candidate_generator

    def decode(self, prompts: Sequence[list[int]], num_tokens: int) -> Run:
        """Decode exactly so many tokens for the one prompt."""
        self._run = Run()
        self._model._get_candidate_generator = self._overheard
        try:
            self._run.num_tokens = super().decode(prompts, num_tokens).num_tokens
        finally:
            self._model._get_candidate_generator = self._make_source
        return self._run

    def _overheard(self, **options: Any) -> Any:
        source = self._make_source(**options)
        get_candidates = source.get_candidates

        def heard(*args: Any, **options: Any) -> Any:
            self._candidates = None  # the assistant's own passes go through the processor, too
            found = get_candidates(*args, **options)
            self._candidates, self._is_rejected = found[0], False
            return found

        source.get_candidates = heard
        return source

    def _prescribed(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        place = ids.shape[1]
        if self._candidates is None or place >= self._candidates.shape[1]:
            return scores
        accepts = self._random.random() < self._acceptance
        if not self._is_rejected:
            self._run.num_accepted += accepts
            self._run.num_rejected += not accepts
        self._is_rejected |= not accepts
        return scores.index_fill(
            1, self._candidates[0, place : place + 1], float("inf") if accepts else float("-inf")
        )
