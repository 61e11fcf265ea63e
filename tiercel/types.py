"""The nouns that tiers exchange, as frozen dataclasses; `wire` makes them protobuf and back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import zip_longest


class Rule(Enum):
    """An acceptance rule: when a draft token may stand. `decoding.RULES` says what each claims."""

    EXACT = "exact"
    REJECTION = "rejection"
    BLOCK = "block"
    ENSEMBLE = "ensemble"
    LENIENT = "lenient"
    TYPICAL = "typical"
    RELAXED = "relaxed"
    CASCADE_CHOW = "cascade_chow"
    CASCADE_DIFF = "cascade_diff"
    CASCADE_OPT = "cascade_opt"
    CASCADE_TOKEN = "cascade_token"
    AGREEMENT = "agreement"
    COSD_RULE = "cosd_rule"
    COSD_TREE = "cosd_tree"


class Evidence(Enum):
    """What a parent needs to know of a draft, beside its tokens."""

    NONE = "none"
    PROBS = "probs"  # the drafter's probability of each token, at temperature 1
    DISTRIBUTIONS = "distributions"  # what each token was drawn from, with noise of the drafter's


class FinishReason(Enum):
    """Why a generation ended."""

    STOP_TOKEN = "stop_token"
    STOP_STRING = "stop_string"
    LENGTH = "length"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Acceptance:
    """The rule that a parent applies to its drafters' tokens; strictness 1 is what EXACT does."""

    rule: Rule = Rule.EXACT
    strictness: float = 1.0
    num_agreeing: int = 2  # AGREEMENT only: how many drafters have to agree
    learned: bool = False  # the router finds the strictness; the one here is then its least


@dataclass(frozen=True)
class Plan:
    """A tree of tiers: the root answers for the output, each child drafts for its parent."""

    tier: str
    address: str = ""
    drafters: tuple["Plan", ...] = ()
    acceptance: Acceptance = Acceptance()
    num_speculative_tokens: int = 4
    draft_confidence: float = 0.0
    version: int = 0

    def walk(self) -> Iterator["Plan"]:
        """Yield this plan and every plan below it, parents first."""
        yield self
        for drafter in self.drafters:
            yield from drafter.walk()

    @property
    def depth(self) -> int:
        """Number of tiers on the longest path from the root to a leaf."""
        return 1 + max((drafter.depth for drafter in self.drafters), default=0)


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as in the OpenAI chat format."""

    role: str
    content: str


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen from the logits; temperature 0 is argmax."""

    temperature: float = 0.0
    top_k: int = 0  # 0: no limit
    top_p: float = 1.0
    seed: int = 0  # unsigned, 64 bit


@dataclass(frozen=True)
class StopConditions:
    """When a generation ends, apart from its deadline."""

    max_new_tokens: int = 256
    token_ids: frozenset[int] = frozenset()
    strings: tuple[str, ...] = ()


class ConstraintForm(Enum):
    """How it is written what an answer has to match; the names are those of the proto's fields."""

    JSON_SCHEMA = "json_schema"
    REGEX = "regex"
    LARK_GRAMMAR = "lark_grammar"


@dataclass(frozen=True)
class Constraint:
    """What every answer must match, whatever the model would rather say."""

    form: ConstraintForm
    text: str


@dataclass(frozen=True)
class TokenLogprob:
    """The target's log-probability of a token at temperature 1, and of its best alternatives."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Replacement:
    """A token of the target that a rule of fusion put in the place of the draft's."""

    position: int  # index in the draft; in an answer, index in that
    draft_token_id: int
    draft_prob: float
    target_token_id: int
    target_prob: float


@dataclass(frozen=True)
class Span:
    """A run of `num_tokens` tokens that `tier` proposed first."""

    tier: str
    num_tokens: int


@dataclass
class PairStats:
    """What one drafter did for one parent in one request. Times in seconds of model compute."""

    drafter: str
    verifier: str
    num_drafts: int = 0  # blocks verified
    num_draft_tokens: int = 0  # tokens in them
    num_accepted_tokens: int = 0
    num_rejected_tokens: int = 0  # at most one a block: what follows a rejection is not judged
    accepted_per_position: list[int] = field(default_factory=list)
    num_late: int = 0  # blocks that the parent did not wait for any longer
    draft_compute_s: float = 0.0
    num_compared: int = 0  # positions at which the two distributions were compared
    total_variation: float = 0.0  # summed over these

    def judged(self, num_draft_tokens: int, num_accepted: int, num_rejected: int) -> None:
        """Count one block of which so many tokens were accepted, and the next perhaps rejected."""
        self.num_drafts += 1
        self.num_draft_tokens += num_draft_tokens
        self.num_accepted_tokens += num_accepted
        self.num_rejected_tokens += num_rejected
        places = self.accepted_per_position
        places += [0] * (num_accepted - len(places))
        for place in range(num_accepted):
            places[place] += 1

    def add(self, other: "PairStats") -> None:
        """Add what another stream between the same two tiers did."""
        self.num_drafts += other.num_drafts
        self.num_draft_tokens += other.num_draft_tokens
        self.num_accepted_tokens += other.num_accepted_tokens
        self.num_rejected_tokens += other.num_rejected_tokens
        self.num_late += other.num_late
        self.draft_compute_s += other.draft_compute_s
        self.num_compared += other.num_compared
        self.total_variation += other.total_variation
        both = zip_longest(self.accepted_per_position, other.accepted_per_position, fillvalue=0)
        self.accepted_per_position = [one + another for one, another in both]

    @property
    def acceptance_rate(self) -> float | None:
        """Return accepted / (accepted + rejected), or None before any token was judged."""
        judged = self.num_accepted_tokens + self.num_rejected_tokens
        return self.num_accepted_tokens / judged if judged else None

    @property
    def mean_acceptance_length(self) -> float | None:
        """Return tokens committed per verified block, recovered or bonus token included."""
        return 1 + self.num_accepted_tokens / self.num_drafts if self.num_drafts else None

    @property
    def similarity(self) -> float | None:
        """Return 1 - mean total variation, or None before any two distributions were compared."""
        return 1 - self.total_variation / self.num_compared if self.num_compared else None


@dataclass(frozen=True)
class TierStats:
    """What one tier's model did for one request."""

    tier: str
    num_forward_passes: int = 0
    num_prompt_tokens: int = 0
    prefill_s: float = 0.0
    compute_s: float = 0.0  # prefill excluded
    num_committed_tokens: int = 0  # tokens of the answer that this tier proposed first
    num_cached_prompt_tokens: int = 0  # known from another session, so not fed


@dataclass(frozen=True)
class Usage:
    """What a finished request used."""

    num_prompt_tokens: int
    num_completion_tokens: int
    pairs: tuple[PairStats, ...] = ()
    tiers: tuple[TierStats, ...] = ()
    time_to_first_token_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True)
class ModelDescription:
    """What a loaded model is. Two models of equal `numerics_id` give the same bits."""

    name: str
    engine: str  # native, onnx, torch, simulated
    dtype: str  # fp32, int4, bf16, ...
    vocab_size: int
    max_length: int  # tokens, prompt included
    numerics_id: str  # hash of model, graph, engine version, instruction set, device
    bit_exact: bool  # logits do not depend on the width of a pass; probed at load
    num_parameters: int = 0
    hidden_size: int = 0  # 0: the engine gives no hidden states
    weights_digest: str = ""  # hex sha256 of the model's files; empty: not known
    max_batch_rows: int = 0  # tokens that steps of several caches share a pass up to; 0: none do
    copies_prefixes: bool = False  # a cache can be opened as a copy of another's beginning
    takes_trees: bool = False  # a pass can feed several continuations of one sequence
