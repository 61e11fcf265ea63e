"""What a distilled drafter says about itself, in the manifest beside its graph."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tiercel.errors import ModelUnavailable
from tiercel.models.weights import ModelConfig

MANIFEST_FILE = "manifest.json"
VOCABULARY_FILE = "vocabulary.safetensors"
# Rows that a drafter's cache holds; of a longer answer it forgets the beginning.
_POSITIONS = 1024


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DrafterShape(_Section):
    """The sizes of a drafter: a layer or two of its target's geometry, fewer ids in and out."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    rope_theta: float
    norm_epsilon: float
    num_inputs: int  # ids with an embedding of their own; all others share one more
    num_outputs: int  # ids that it can propose, the first ones of the inputs
    uses_hidden: bool  # whether it works on the target's hidden states

    def config(self) -> ModelConfig:
        """Return the shape as that of a model."""
        return ModelConfig(
            architecture="llama",
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            num_kv_heads=self.num_kv_heads,
            head_dim=self.head_dim,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            vocab_size=self.num_outputs,
            context_length=_POSITIONS,
            rope_theta=self.rope_theta,
            norm_epsilon=self.norm_epsilon,
            tied_embeddings=False,
        )


class HeldOut(_Section):
    """How often the target's greedy choice was met, on answers to prompts not trained on.

    `acceptance` is by place in a draft: at each, of the drafts that were right up to there.
    """

    num_tokens: int
    acceptance: tuple[float, ...]


class DrafterManifest(_Section):
    """The content of manifest.json."""

    format: int = 1
    target: str
    target_digest: str
    tokenizer_fingerprint: str
    vocab_size: int
    dtype: str  # of the graph
    shape: DrafterShape
    num_train_tokens: int
    num_train_steps: int
    token_s: float  # of a token on one core of the machine that trained it, median
    held_out: dict[str, HeldOut]  # by kind of task, and "all"


def read_drafter_manifest(folder: Path) -> DrafterManifest:
    """Return the manifest in `folder`; raises ModelUnavailable, in one line."""
    try:
        return DrafterManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        why = " ".join(str(error).split())
        raise ModelUnavailable(f"{folder} holds no drafter: {why}") from None
