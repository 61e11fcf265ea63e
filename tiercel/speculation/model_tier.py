"""A tier with a model: what its sessions need, wherever they are asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from tiercel import rpc
from tiercel.constraints import Grammars
from tiercel.decoding import MAX_SUPPORT, AgreementTable, CosdTree, Vocabulary, in_force
from tiercel.descriptions import TierDescription
from tiercel.draft_stream import TokenSequence
from tiercel.errors import InvalidRequest, PlanRefused
from tiercel.plan_rules import LOCAL, check_plan
from tiercel.rules import check_rules
from tiercel.scores import ScoreAsk, Scores
from tiercel.speculation.agreement import check_calibration
from tiercel.speculation.decoder import Decoder
from tiercel.speculation.draft_ahead import DraftAhead
from tiercel.speculation.draft_server import Drafts, DraftServer
from tiercel.speculation.drafter_records import DrafterRecords
from tiercel.speculation.judging import Terms
from tiercel.speculation.link import Link
from tiercel.speculation.local_link import LocalLink
from tiercel.speculation.lookup import BARE, Basis, Lookups
from tiercel.speculation.overtaken import overtaken_links
from tiercel.speculation.proposer import ModelProposer, Proposer
from tiercel.speculation.remote_link import RemoteLink
from tiercel.speculation.request import Lost, Observer, Request
from tiercel.speculation.residence import Loader, Residence
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.scoring import Scorer, scoring
from tiercel.speculation.session import Session
from tiercel.speculation.slots import Slots
from tiercel.speculation.translators import Translators
from tiercel.tokenizer import Tokenizer
from tiercel.types import Constraint, Evidence, Message, Plan, Rule, SamplingParams
from tiercel.wire.draft import DraftOpening


@dataclass(frozen=True)
class Habits:
    """How a tier treats its sessions and drafters."""

    max_sessions: int = 16
    heartbeat_s: float = 2.0
    tokens_ahead: int = 0  # most credit of a drafter beyond one block
    message_gap_s: float = 0.0  # between two messages with tokens of one answer
    always_draft: bool = False  # ask drafters that do not pay, too
    allowed_drafters: tuple[str, ...] = ("localhost:*", "127.0.0.1:*", "[::1]:*")
    draft_support: int = MAX_SUPPORT  # tokens of the distributions that are sent with a draft
    cosd_tree: CosdTree | None = None  # that the rule of fusion by a tree judges by
    calibration: AgreementTable | None = None  # that AGREEMENT goes by


class ModelTier:
    """One loaded model, its tokenizer, its sessions and its channels to drafters."""

    def __init__(
        self,
        name: str,
        runner: ModelRunner,
        tokenizer: Tokenizer,
        habits: Habits,
        basis: Basis = BARE,
        *,
        loader: Loader | None = None,
    ) -> None:
        """Serve a model; its own look-up drafter, for plans that name one, rests on `basis`.

        With a `loader` the model's memory can be given back, and the model be loaded again.
        """
        self.name, self.runner, self.tokenizer, self.habits = name, runner, tokenizer, habits
        self.slots = Slots(name, habits.max_sessions)
        self.residence = Residence(name, runner, self.slots, loader)
        vocab_size = runner.description.vocab_size
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(id) for id in range(vocab_size)])
        self.grammars = Grammars(tokenizer, vocab_size)
        self._scorer = Scorer(name, runner, tokenizer, self._vocabulary)
        self._channels, self._lookups = rpc.Channels(), Lookups(basis)
        self._translators = Translators(tokenizer)
        self._aheads: dict[str, DraftAhead] = {}
        self._records = DrafterRecords()
        self._born = time.monotonic()
        drafts = Drafts(
            tier=name,
            numerics_id=runner.description.numerics_id,
            tokenizer_fingerprint=tokenizer.fingerprint,
            vocab_size=vocab_size,
            heartbeat_s=habits.heartbeat_s,
        )
        self.draft_server = DraftServer(drafts, self.slots, self._proposer)

    def check_plan(self, plan: Plan) -> None:
        """Raise PlanRefused or InvalidRequest for a plan that this tier cannot be the root of."""
        if plan.tier != self.name:
            raise InvalidRequest("plan.tier", plan.tier, f"this is {self.name}")
        check_plan(plan, allowed=self.habits.allowed_drafters)
        if in_force(plan.acceptance) is Rule.AGREEMENT:
            check_calibration(plan, self.habits.calibration)
        if in_force(plan.acceptance) is Rule.COSD_TREE and self.habits.cosd_tree is None:
            raise PlanRefused(f"{self.name} has no decision tree for {Rule.COSD_TREE.value}")

    def check_length(self, field: str, token_ids: Sequence[int]) -> None:
        """Raise InvalidRequest for a sequence that leaves no room for a token."""
        most = self.runner.description.max_length
        if len(token_ids) >= most:
            raise InvalidRequest(field, len(token_ids), f"{self.name} holds {most} tokens")

    def request(
        self,
        *,
        request_id: str,
        deadline: float,
        num_prompt_tokens: int,
        params: SamplingParams,
        stop_token_ids: Iterable[int],
        max_new_tokens: int,
        messages: tuple[Message, ...],
        asked: Evidence = Evidence.NONE,
        constraint: Constraint | None = None,
    ) -> Request:
        """Return what drafters of this tier must know of a request."""
        return Request(
            request_id=request_id,
            parent=self.name,
            tokenizer_fingerprint=self.tokenizer.fingerprint,
            vocab_size=self.runner.description.vocab_size,
            num_prompt_tokens=num_prompt_tokens,
            params=params,
            stop_token_ids=frozenset(stop_token_ids),
            max_new_tokens=max_new_tokens,
            deadline=deadline,
            messages=messages,
            constraint=constraint,
            heartbeat_s=self.habits.heartbeat_s,
            tokens_ahead=self.habits.tokens_ahead,
            always_draft=self.habits.always_draft,
            aheads=self._aheads,
            records=self._records,
            asked=asked,
        )

    @asynccontextmanager
    async def decoder(
        self, prefix: Sequence[int], plan: Plan, request: Request, on_lost: Lost
    ) -> AsyncIterator[Decoder]:
        """Open a session on `prefix` with the plan's drafters; everything ends with the body."""
        terms = Terms(
            num_prompt_tokens=request.num_prompt_tokens,
            params=request.params,
            acceptance=plan.acceptance,
            names=(self.name, plan.address),
            asked=request.asked,
            support=self.habits.draft_support,
            tree=self.habits.cosd_tree,
            measures=request.measures,
            kind=request.kind,
            calibration=self.habits.calibration,
        )
        await self.residence.needed()
        mask = await self.grammars.mask(request.constraint)
        sequence = TokenSequence(prefix)
        session = Session(self.runner, self._vocabulary, sequence, terms, mask)
        given = overtaken_links(request, session, self.runner.row_cost)
        decoder = Decoder(session, plan, request, self._open_link, on_lost, given)
        try:
            yield decoder
        finally:
            await decoder.close()

    def describe(self) -> TierDescription:
        """Return what this replica is, and its load."""
        model = self.runner.description
        return TierDescription(
            tier=self.name,
            model=model.name,
            engine=model.engine,
            dtype=model.dtype,
            numerics_id=model.numerics_id,
            bit_exact=model.bit_exact,
            tokenizer_fingerprint=self.tokenizer.fingerprint,
            vocab_size=model.vocab_size,
            max_length=model.max_length,
            verifies=True,
            drafts=True,
            num_sessions=self.slots.num_taken,
            max_sessions=self.slots.most,
            num_waiting_passes=self.runner.num_waiting_passes,
            uptime_s=time.monotonic() - self._born,
            speed=self.runner.speed,
            drafters=self._records.all(),
            residency=self.residence.state,
            load_s=self.residence.load_s,
            memory_bytes=self.residence.memory_bytes,
            mean_sessions=self.slots.mean_taken,
        )

    async def score(self, ask: ScoreAsk, deadline: float) -> Scores:
        """Score continuations until `deadline` (loop time); raises as `scoring` and `Scorer` do."""
        async with scoring(self.slots, deadline):
            await self.residence.needed()
            return await self._scorer.scores(ask)

    async def close(self) -> None:
        """Close the channels and the model."""
        await self._translators.close()
        self.grammars.close()
        await self._channels.close()
        await asyncio.to_thread(self.runner.close)

    def _open_link(
        self, plan: Plan, request: Request, session: Session, observer: Observer
    ) -> Link:
        if plan.address == LOCAL:
            return LocalLink(plan, request, session, self._lookups, self.runner.row_cost)
        channel, hidden = self._channels.to(plan.address), session.hidden.feed()
        return RemoteLink(
            plan, request, session.sequence, channel, observer, hidden, self._translators
        )

    @asynccontextmanager
    async def _proposer(
        self, opening: DraftOpening, deadline: float, lost: Lost
    ) -> AsyncIterator[Proposer]:
        self._check_draft_plan(opening.plan, opening.evidence)
        self.check_length("open.prefix.token_ids", opening.prefix.token_ids)
        request = self.request(
            request_id=opening.request_id,
            deadline=deadline,
            num_prompt_tokens=opening.num_prompt_tokens,
            params=opening.params,
            stop_token_ids=opening.stop_token_ids,
            max_new_tokens=opening.max_new_tokens,
            messages=opening.messages,
            constraint=await self.grammars.followed(opening.constraint),
            asked=opening.evidence,
        )
        prefix = opening.prefix.token_ids
        check = partial(self._check_draft_plan, asked=opening.evidence)
        async with self.decoder(prefix, opening.plan, request, lost) as decoder:
            yield ModelProposer(decoder, check)

    def _check_draft_plan(self, plan: Plan, asked: Evidence) -> None:
        self.check_plan(plan)
        check_rules(plan, asked)
