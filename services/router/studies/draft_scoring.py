"""What drafters that had no part in an answer would have drafted in it: one pass over its tokens.

A place counts as judged once, after the true text before it, as in drafting: what was drafted
behind a rejected token is thrown away there, and drafted anew.
"""

import random
import uuid
from collections.abc import Callable, Mapping, Sequence

import structlog

from services.router import metrics
from services.router.call import Call
from services.router.fleet import Fleet, least_loaded
from services.router.learning.learned import Advice
from services.router.studies.idle_pairs import IdlePairs, Pair
from services.router.studies.off_path import Answered
from tiercel.clients import tier as tier_client
from tiercel.decoding import in_force
from tiercel.descriptions import Residency, TierDescription
from tiercel.errors import TiercelError
from tiercel.learning import DraftScore
from tiercel.replies import Decision
from tiercel.scores import Choice, ScoreAsk
from tiercel.tiers import Configuration
from tiercel.types import Plan, Rule
from tiercel.wire.requests import TokenIds

log = structlog.get_logger(__name__)

# A rate needs no more of one answer, and a long one would keep other work waiting.
_MOST_TOKENS = 512
_TIMEOUT_S = 60.0
_LOOKUP = "suffix"
_HERE = (Residency.RESIDENT, Residency.UNSPECIFIED)

Draw = Callable[[], float]


class DraftScoring:
    """Scores the pairs for which `takes(names, root)` holds, in a share of the answers.

    Answers under a constraint are left out, for a tier scores without it; so are those of lossy
    rules, which are not what the root would have said.
    """

    def __init__(
        self,
        name: str,
        pairs: IdlePairs,
        fleet: Fleet,
        *,
        takes: Callable[[tuple[str, str], str], bool],
        share: float,
        uniform: Draw = random.random,
    ) -> None:
        self.name = name
        self._pairs, self._fleet, self._takes = pairs, fleet, takes
        self._share, self._uniform = share, uniform

    def wants(self, call: Call, decision: Decision, plan: Plan) -> bool:
        """Return whether this answer is drawn, and there is a drafter that it says nothing of."""
        if call.ask.constraint is not None or in_force(plan.acceptance) is not Rule.EXACT:
            return False
        if self._uniform() >= self._share:
            return False
        return any(self._takes(names, plan.tier) for names in self._pairs.beside(plan))

    async def look(self, answered: Answered) -> Sequence[DraftScore]:
        """Return how often each idle drafter was right, of those that can be asked now."""
        root, ids = answered.plan.tier, answered.said.ids
        said = TokenIds(ids.token_ids[:_MOST_TOKENS], ids.tokenizer_fingerprint)
        if not said.token_ids:
            return ()
        ran = answered.finished.usage.pairs
        idle = [
            pair
            for pair in self._pairs.idle(root, answered.call.kind, ran)
            if self._takes(pair.names, root)
        ]
        choices = {root: [Choice(token_id, 1.0) for token_id in said.token_ids]}
        for tier in dict.fromkeys(name for pair in idle for name in pair.names):
            if tier != root and (found := await self._choices(tier, answered, said)):
                choices[tier] = found
        return [score for pair in idle if (score := _score(pair, choices, answered)) is not None]

    async def _choices(self, tier: str, answered: Answered, said: TokenIds) -> list[Choice]:
        """Return what the tier would have said in each place; nothing where it cannot say."""
        found, replica = list[Choice](), least_loaded(self._fleet.ready(tier))
        about = replica.description if replica is not None else None
        result = _hindrance(about, answered.prompt, said)
        if replica is not None and not result:
            sampling, request_id = answered.call.ask.sampling, answered.call.ask.request_id
            ask = ScoreAsk(answered.prompt, (said,), sampling, request_id=request_id)
            try:
                scores = await tier_client.score(replica.channel, ask, timeout_s=_TIMEOUT_S)
                found += scores.continuations[0].choices
            except TiercelError as error:
                result = "refused"
                log.debug("an idle drafter was not scored", tier=tier, problem=str(error))
        metrics.num_draft_scores.labels(tier, result or "scored").inc()
        return found


def draft_scoring(
    configuration: Configuration, fleet: Fleet, advice: Advice, *, share: float
) -> list[DraftScoring]:
    """Return the studies of idle drafters; none at a share of 0.

    Look-ups cost next to nothing and are scored in every answer, but for those under a parent that
    would have to say what it makes of the answer itself.
    """
    if not share:
        return []
    pairs = IdlePairs(configuration.plans, fleet, advice)
    lookups = {name for name, tier in configuration.tiers.items() if tier.engine == _LOOKUP}

    def is_free(names: tuple[str, str], root: str) -> bool:
        drafter, verifier = names
        return drafter in lookups and verifier == root

    def costs(names: tuple[str, str], root: str) -> bool:
        return not is_free(names, root)

    return [
        DraftScoring("scores of look-ups", pairs, fleet, takes=is_free, share=1.0),
        DraftScoring("scores of drafters", pairs, fleet, takes=costs, share=share),
    ]


def _hindrance(about: TierDescription | None, prompt: TokenIds, said: TokenIds) -> str:
    """Return in a word why a tier is not asked; empty: it is.

    A model that is away is left there. Ids are not translated: that takes both tokenizers, of a
    hundred megabytes each.
    """
    if about is None or about.residency not in _HERE:
        return "away"
    if about.tokenizer_fingerprint not in ("", said.tokenizer_fingerprint):
        return "foreign"
    if len(prompt.token_ids) + len(said.token_ids) > about.max_length:
        return "too long"
    return ""


def _score(
    pair: Pair, choices: Mapping[str, Sequence[Choice]], answered: Answered
) -> DraftScore | None:
    """Return where a drafter's choices are its parent's; None if it would have drafted nowhere.

    Where it has no choice, or too unsure a one, it would have drafted nothing.
    """
    if pair.drafter not in choices or pair.verifier not in choices:
        return None
    places = zip(choices[pair.drafter], choices[pair.verifier], strict=True)
    matches = [
        own.token_id == true.token_id
        for own, true in places
        if own.token_id is not None and own.prob >= pair.confidence
    ]
    if not matches:
        return None
    return DraftScore(
        event_id=uuid.uuid4().hex,
        decision_id=answered.decision.decision_id,
        kind=answered.call.kind,
        drafter=pair.drafter,
        verifier=pair.verifier,
        num_matched_tokens=sum(matches),
        num_missed_tokens=len(matches) - sum(matches),
    )
