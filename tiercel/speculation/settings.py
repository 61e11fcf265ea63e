"""Settings that every tier shares."""

from pydantic import Field

from tiercel import config
from tiercel.decoding import MAX_SUPPORT, AgreementTable, CosdTree
from tiercel.drafters import table_path
from tiercel.engines.ngram import NgramTable
from tiercel.models.embedded import DEFAULT_MODEL
from tiercel.speculation.loading import ModelSource
from tiercel.speculation.lookup import Basis
from tiercel.speculation.model_tier import Habits
from tiercel.wire.distributions import MAX_ENTRIES


class LookupSettings(config.Settings):
    """What a drafter without a model rests on."""

    min_confidence: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="look-ups: a draft ends where its likelihood falls below this, if not the"
        " plan's, or where it costs more than it is worth",
    )
    pool_tokens: int = Field(
        default=200_000,
        ge=0,
        description="look-ups: tokens of recent outputs that sessions share; 0 shares none",
    )
    ngram: str = Field(
        default=DEFAULT_MODEL,
        description="look-ups: n-gram table to draft from too: the name of one that comes with "
        "tiercel, or a file of `tiercel distill ngram`; empty: none. For its own tokenizer only",
    )

    def basis(self) -> Basis:
        """Return what look-ups rest on; raises ModelUnavailable for a table that is none."""
        return Basis(
            min_confidence=self.min_confidence,
            pool_tokens=self.pool_tokens,
            table=NgramTable(table_path(self.ngram)) if self.ngram else None,
        )


class TierSettings(LookupSettings):
    """What any tier can be told: its model, and how it treats sessions and drafters."""

    tier: str = Field(min_length=1, description="name of the tier")
    engine: str = Field(
        default="onnx", description="native, onnx, torch or simulated; drafters: suffix"
    )
    model: str = Field(
        default="smollm2-135m", description="name, Hugging Face id, folder or .gguf file"
    )
    dtype: str = Field(default="", description="number format of the weights; empty: the engine's")
    device: str = Field(default="auto", description="torch: cpu, cuda, cuda:1 ...; auto picks")
    threads: int = Field(default=0, ge=0, description="threads of a pass; 0: one for each core")
    max_length: int = Field(
        default=0, ge=0, description="longest sequence in tokens; 0: the model's, up to 4096"
    )
    prefix_cache_tokens: int = Field(
        default=4096,
        ge=0,
        description="tokens of ended sessions kept for prompts that begin alike; 0: none",
    )
    cache_tokens: int = Field(
        default=0,
        ge=0,
        description="torch: tokens in all caches together; 0: what fits, at most 64"
        " sequences of full length (on a CPU 16)",
    )
    tensor_parallel: int = Field(
        default=1, ge=1, description="torch: devices that the model is split over"
    )
    max_sessions: int = Field(default=16, ge=1, description="sessions open at once")
    max_request_s: float = Field(
        default=600.0, gt=0, description="deadline of a request that has none, and the longest one"
    )
    heartbeat_s: float = Field(
        default=2.0, ge=0.2, description="seconds between heartbeats on a silent stream"
    )
    tokens_ahead: int = Field(
        default=8,
        ge=0,
        le=64,
        description="tokens a drafter may run ahead of its block, while that is measured to pay",
    )
    message_gap_s: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="tokens that follow the last message of an answer within this share the next",
    )
    always_draft: bool = Field(
        default=False, description="go on asking drafters that do not pay; for measurements"
    )
    draft_support: int = Field(
        default=MAX_SUPPORT,
        ge=1,
        le=MAX_ENTRIES,
        description="tokens of the distributions that this tier, drafting, draws from and sends"
        " where a rule asks for them",
    )
    cosd_tree: str = Field(
        default="", description="file of the decision tree that the rule cosd_tree judges by"
    )
    agreement: str = Field(
        default="", description="file of `tiercel agreement` that the rule agreement goes by"
    )
    allowed_drafters: list[str] = Field(
        default_factory=lambda: list(Habits.allowed_drafters),
        description="patterns of addresses that plans may name as drafters",
    )

    def source(self) -> ModelSource:
        """Return which model to load, and how to run it."""
        return ModelSource(
            engine=self.engine,
            model=self.model,
            dtype=self.dtype,
            device=self.device,
            threads=self.threads,
            max_length=self.max_length,
            prefix_cache_tokens=self.prefix_cache_tokens,
            cache_tokens=self.cache_tokens,
            tensor_parallel=self.tensor_parallel,
        )

    def habits(self) -> Habits:
        """Return how the tier treats its sessions and drafters."""
        return Habits(
            max_sessions=self.max_sessions,
            heartbeat_s=self.heartbeat_s,
            tokens_ahead=self.tokens_ahead,
            message_gap_s=self.message_gap_s,
            always_draft=self.always_draft,
            allowed_drafters=tuple(self.allowed_drafters),
            draft_support=self.draft_support,
            cosd_tree=CosdTree.load(self.cosd_tree) if self.cosd_tree else None,
            calibration=AgreementTable.load(self.agreement) if self.agreement else None,
        )
