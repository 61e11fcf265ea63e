"""One sequence being decoded by one model: forward passes, verdicts, roll-back."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count

from tiercel.decoding import Randomness, Vocabulary
from tiercel.draft_stream import TokenSequence
from tiercel.engines.language_model import Logits
from tiercel.speculation.agreement import Unjudged, num_to_agree
from tiercel.speculation.draft_tree import DraftTree
from tiercel.speculation.hidden_states import HiddenStates
from tiercel.speculation.job import NOT_AHEAD, Ahead, Job
from tiercel.speculation.judging import Terms, Verified
from tiercel.speculation.link import NO_DRAFT, Draft
from tiercel.speculation.logits_mask import LogitsMask
from tiercel.speculation.pass_times import PassTimes
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.text_offsets import TextOffsets
from tiercel.speculation.turn import Memory, Turn
from tiercel.types import Acceptance, Evidence, TierStats

# Tokens that the model may be ahead of what was asked for: enough never to wait.
_MOST_AHEAD = 3


class Session:
    """Holds a sequence, its cache, and how its tokens are chosen.

    The sequence may be changed from outside (`cut`, `append`) while a pass runs; that pass then
    comes to nothing.
    """

    def __init__(
        self,
        runner: ModelRunner,
        vocabulary: Vocabulary,
        prefix: TokenSequence,
        terms: Terms,
        mask: LogitsMask | None = None,
    ) -> None:
        self.sequence = prefix
        self.generation = 0  # grows with every change from outside
        self._runner, self._vocabulary, self._terms = runner, vocabulary, terms
        self._mask = mask
        opened_at = prefix.hash_at(len(prefix))
        self._randomness = Randomness.of(terms.params.seed, *terms.names, opened_at)
        self._runs = count()  # of the rule's random numbers: each verdict has its own
        self.hidden = HiddenStates(runner.description)
        # All but the prompt's last token stays in the cache; that one may be fed again.
        self._memory = Memory(num_lasting=max(0, terms.num_prompt_tokens - 1))
        self._next: Turn[Verified] | None = None  # under way before it is asked for
        self._may_follow = True
        # Of turns that went ahead: the first is written in the model's thread only.
        self._num_followed = self._num_taken = 0
        self._fed_length = 0  # tokens at the start of the cache that are the sequence's
        self._floor = 0  # what _fed_length may be after the turn that runs
        self._unjudged = Unjudged()  # tokens at the sequence's end that were never fed
        num_prompt, generated = terms.num_prompt_tokens, prefix.tokens(terms.num_prompt_tokens)
        self._offsets = TextOffsets(vocabulary, num_prompt, generated)
        self._times = PassTimes(num_prompt)

    @property
    def room(self) -> int:
        """How many more tokens the model's context takes."""
        return self._runner.description.max_length - len(self.sequence)

    @property
    def takes_trees(self) -> bool:
        """Whether a pass can verify several drafts of one place."""
        return self._runner.description.takes_trees and self._terms.takes_trees

    @property
    def is_ahead(self) -> bool:
        """Whether the next tokens are being decoded already."""
        return self._next is not None

    @property
    def is_alone(self) -> bool:
        """Whether no other session wants the model now, while this one has no turn."""
        return self._runner.num_waiting == 0

    @property
    def num_sharing(self) -> int:
        """How many sessions have tokens in a pass, this one included."""
        is_shared = self._runner.description.max_batch_rows > 0
        return 1 + self._runner.num_waiting if is_shared else 1

    def cut(self, length: int) -> None:
        """Drop every token from position `length` on."""
        self.sequence.cut(length)
        self.hidden.cut(length)
        self._offsets.cut(length)
        self._fed_length = min(self._fed_length, length)
        self._floor = min(self._floor, length)
        self._unjudged.clear()
        self._void()

    def append(self, token_ids: Sequence[int]) -> None:
        """Add tokens that were decided elsewhere."""
        self._unjudged.clear()
        self._extend(token_ids)
        self._void()

    @property
    def num_to_agree(self) -> int:
        """How many drafters have to agree for a token to stand unjudged; 0: all are judged."""
        # Drafters that work on the model's states get none where it has not been.
        is_free = self._mask is None and not self.hidden.is_asked
        return num_to_agree(self._terms) if is_free else 0

    def agree(self, drafts: Sequence[Draft], ends: frozenset[int]) -> Verified | None:
        """Commit the tokens on which drafts for this place agree so that they stand unjudged.

        None if none do. The next pass feeds them too, and its `seen` says what EXACT makes of them.
        """
        if not self.num_to_agree:
            return None
        verified = self._unjudged.stand(self._terms, drafts, self.room - 1, ends)
        if verified is not None:
            self._extend(verified.token_ids)
        return verified

    @property
    def evidence(self) -> Evidence:
        """What the rule in force needs to know of a draft."""
        return self._terms.evidence

    def judge_by(self, acceptance: Acceptance) -> None:
        """Judge by another rule from the next draft on."""
        self._terms = replace(self._terms, acceptance=acceptance)

    async def verify(
        self,
        draft: Draft = NO_DRAFT,
        num_top_logprobs: int | None = None,
        ahead: Ahead = NOT_AHEAD,
        others: Sequence[Draft] = (),
    ) -> Verified | None:
        """Run the draft through the model and commit what the rule lets stand, and one token more.

        An empty draft is plain decoding; then the model may go on `ahead`. While it is, the draft
        must be empty. With `takes_trees` there may be `others`: all are judged, and the one that
        stands furthest counts. `num_top_logprobs` None gives no log-probabilities.
        Returns None if the sequence was changed meanwhile. Raises ModelFault, and InvalidRequest
        if the model's context is full or a token is not in the distribution that came with it.
        """
        generation, length = self.generation, len(self.sequence)
        self._floor = length
        if self._next is not None:
            turn = self._next
            self._num_taken += 1
            verified = await self._runner.result_of(turn)
        else:
            # The last token goes in again if the cache holds it: its logits are what is asked for.
            unjudged = self._unjudged.token_ids
            start = min(self._fed_length, length - len(unjudged) - 1)
            tree = DraftTree((draft, *others))
            tokens = [*self.sequence.tokens(start), *tree.token_ids]
            self._may_follow = True
            self._num_taken = self._num_followed
            offset, terms, answer = self._offsets.at_end, self._terms, self._answer()
            job = Job(tree, offset, num_top_logprobs, ahead, generation, terms, answer, unjudged)
            turn = self._turn(start, tokens, job)
            verified = await self._runner.run(turn)
        self._times.note(turn.start, turn.seconds)
        if verified is None or generation != self.generation:
            self._fed_length = min(self._floor, self._memory.length)
            return None
        self._next = turn.next
        self._times.counted()
        self._fed_length = length + verified.num_accepted
        self._unjudged.clear()
        if turn.hidden is not None:
            lead = verified.seen.num_accepted if verified.seen else 0
            rows = [lead, *(lead + place + 1 for place in verified.kept)]
            self.hidden.note(length - 1, turn.hidden[rows])
        self._extend(verified.token_ids)
        return replace(verified, compute_s=turn.seconds)

    def attend(self) -> None:
        """Go no further ahead than the turn that runs: there may be something to draft with."""
        self._may_follow = False

    def stats(self, tier: str) -> TierStats:
        """Return what the model did for this session so far."""
        return self._times.stats(tier, self._memory.num_adopted)

    def close(self) -> None:
        """Give the cache back; a pass that still runs ends first."""
        self._void()
        self._runner.release(self._memory, self.sequence.tokens(0, self._fed_length))

    def _void(self) -> None:
        """Let what runs or waits for this session come to nothing."""
        self.generation += 1
        self._next = None

    def _turn(self, start: int, tokens: Sequence[int], job: Job) -> Turn[Verified]:
        num_drafted = len(job.tree.token_ids)
        num_logits = len(job.unjudged) + num_drafted + 1
        return Turn(
            memory=self._memory,
            start=start,
            tokens=tokens,
            num_logits=num_logits,
            hidden=self.hidden.space(num_logits),
            judge=partial(self._judge, job, self._randomness.run(next(self._runs))),
            is_stale=lambda: job.generation != self.generation,
            follow=partial(self._follow, start + len(tokens) - num_drafted, job),
            parents=job.tree.parents,
            kept=lambda verified: verified.kept,
        )

    def _follow(self, length: int, job: Job, verified: Verified) -> Turn[Verified] | None:
        """Return the turn after one on a sequence of `length` tokens, in the model's thread."""
        ahead, tokens = job.ahead, verified.token_ids
        # All of this turn's tokens but one were decoded before they were asked for.
        num_left = ahead.num_tokens - (len(tokens) - 1)
        is_last = num_left <= 0 or not ahead.stop_token_ids.isdisjoint(tokens)
        is_far = self._num_followed - self._num_taken >= _MOST_AHEAD
        if is_last or is_far or not self._may_follow:
            return None
        self._num_followed += 1
        draft = ahead.draft(length, tokens, num_left - 1) if ahead.draft else NO_DRAFT
        following = replace(
            job,
            tree=DraftTree((draft,)),
            offset=self._vocabulary.advance(job.offset, tokens),
            ahead=replace(ahead, num_tokens=num_left - 1),
            answer=(*job.answer, *tokens) if self._mask is not None else (),
            unjudged=(),
        )
        start = length + len(tokens) - 1  # a rule of fusion may give no token beyond the draft
        return self._turn(start, (tokens[-1], *draft.token_ids), following)

    def _judge(self, job: Job, randomness: Randomness, logits: Logits) -> Verified:
        return job.verdict(logits, self._vocabulary, randomness, self._mask)

    def _answer(self) -> tuple[int, ...]:
        if self._mask is None:
            return ()
        return tuple(self.sequence.tokens(self._terms.num_prompt_tokens))

    def _extend(self, token_ids: Sequence[int]) -> None:
        self.sequence.append(token_ids)
        self._offsets.extend(token_ids)
