"""What a parent's drafters must know of one request, and where they tell what happened."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tiercel.decoding import Randomness
from tiercel.draft_stream import TokenSequence
from tiercel.sessions import DraftPrefix
from tiercel.speculation.draft_ahead import DraftAhead
from tiercel.speculation.drafter_records import DrafterRecords
from tiercel.types import Constraint, Evidence, Message, Plan, SamplingParams
from tiercel.wire.draft import DraftOpening
from tiercel.wire.requests import TokenIds


@dataclass(frozen=True)
class Request:
    """What every drafter of one request must know."""

    request_id: str
    parent: str  # name of the parent's tier
    tokenizer_fingerprint: str
    vocab_size: int
    num_prompt_tokens: int
    params: SamplingParams
    stop_token_ids: frozenset[int]
    max_new_tokens: int
    deadline: float  # on the event loop's clock
    messages: tuple[Message, ...] = ()
    heartbeat_s: float = 2.0
    tokens_ahead: int = 0  # most credit beyond one block
    always_draft: bool = False
    constraint: Constraint | None = None
    asked: Evidence = Evidence.NONE  # by the parent's own parent, of the parent
    evidence: Evidence = Evidence.NONE  # what the parent asks of its drafters
    measures: bool = False  # the parent tells how sure it is of each token
    kind: str = ""  # the caller's own word for the kind of request
    draft_prefix: DraftPrefix | None = None  # in the parent's own vocabulary
    # By a drafter's address; the parent's requests share them: what pays depends on the machines.
    aheads: dict[str, DraftAhead] = field(default_factory=dict)
    # What drafters did for the parent, in all its requests.
    records: DrafterRecords = field(default_factory=DrafterRecords)

    def ahead(self, address: str) -> DraftAhead:
        """Return what says how far the drafter at an address may run ahead."""
        if address not in self.aheads:
            self.aheads[address] = DraftAhead(self.tokens_ahead, always=self.always_draft)
        return self.aheads[address]

    def opening(self, plan: Plan, sequence: TokenSequence) -> DraftOpening:
        """Return what a draft stream for `plan` begins with, the sequence being what it is now."""
        num_generated = len(sequence) - self.num_prompt_tokens
        return DraftOpening(
            request_id=self.request_id,
            plan=plan,
            prefix=TokenIds(tuple(sequence.tokens()), self.tokenizer_fingerprint),
            num_prompt_tokens=self.num_prompt_tokens,
            params=self._params(plan),
            stop_token_ids=self.stop_token_ids,
            max_new_tokens=max(0, self.max_new_tokens - num_generated),
            max_tokens_ahead=plan.num_speculative_tokens + self.ahead(plan.address).num_tokens,
            messages=self.messages,
            constraint=self.constraint,
            evidence=self.evidence,
        )

    def _params(self, plan: Plan) -> SamplingParams:
        """Return how a drafter samples: with noise of its own if it tells what it draws from.

        The noise differs by the place in the plan, for one tier may stand in two.
        """
        if self.evidence is not Evidence.DISTRIBUTIONS:
            return self.params
        own = Randomness.of(self.params.seed, self.parent, plan.tier, plan.address)
        return replace(self.params, seed=own.key)


# Called with the path down to a lost tier, the reason, and whether it could not be reached.
Lost = Callable[[tuple[str, ...], str, bool], None]


@dataclass
class Observer:
    """Where a link tells its parent what happened."""

    changed: Callable[[], None]
    lost: Lost
