"""A judge that is asked in both orders, a task's grader, and how they are configured."""

from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from services.router.fleet import Fleet
from services.router.learning.learned import Advice
from services.router.settings import Settings
from services.router.studies.audits import Audits
from services.router.studies.choosing import studies
from services.router.studies.harm import ByJudge, ByScore, Harm, Pair, imported_grader, text_of
from services.router.watching import look_at
from tests.router import audited
from tests.router.scripted_tier import Script, ScriptedTier
from tiercel import rpc, tiers
from tiercel.errors import InvalidRequest, Unavailable
from tiercel.sessions import DraftPrefix
from tiercel.types import Message, Plan
from tiercel.v1 import decoding_pb2, tier_pb2
from tiercel.wire.requests import TokenIds, prompt_from_pb

PROMPT = (Message("system", "Be brief."), Message("user", "A story?"))


class Judge(ScriptedTier):
    """A tier that says A with the chance that `likes` gives for what it reads."""

    def __init__(self, likes: Callable[[str], float], num_tokens: int = 1) -> None:
        super().__init__(Script(tier="judge"))
        self.likes, self.num_tokens = likes, num_tokens
        self.read: list[str] = []

    async def Score(self, request, context):
        [message] = prompt_from_pb(request.prompt)
        self.read.append(message.content)
        chance = self.likes(message.content)
        scored = [
            tier_pb2.ScoredContinuation(
                token_ids=[1] * self.num_tokens,
                logprobs=[decoding_pb2.TokenLogprob(token_id=1, logprob=value)] * self.num_tokens,
                choices=[tier_pb2.ScoredChoice(token_id=1, prob=1.0)] * self.num_tokens,
                entropies=[0.0] * self.num_tokens,
                margins=[0.0] * self.num_tokens,
            )
            for value in (chance, 1 - chance)
        ]
        return tier_pb2.ScoreResponse(continuations=scored, tier="judge", numerics_id="n")


def pair(exact: str, lossy: str, prompt=PROMPT) -> Pair:
    said = [DraftPrefix("root", TokenIds((1,), "f"), text) for text in (exact, lossy)]
    return Pair(Plan("root"), prompt, TokenIds((1,), "f"), *said)


async def judged(judge: Judge, both: Pair) -> Harm:
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(rpc.server(_opened(judge), "localhost:0"))
        fleet = Fleet(["judge"])
        fleet.set_addresses("judge", [f"localhost:{port}"])
        [replica] = fleet.of("judge")
        stack.push_async_callback(replica.channel.close)
        while replica.description is None:
            await look_at(replica)
        return await ByJudge(fleet, "judge").compare(both)


@asynccontextmanager
async def _opened(judge: Judge):
    yield judge


def knows(text: str) -> Callable[[str], float]:
    """The taste of a judge that likes this answer best, wherever it is shown."""
    return lambda read: 1.0 if f"[A]\n{text}" in read else 0.0


@pytest.mark.parametrize(
    ("likes", "harmed", "sign"),
    [
        (knows("good"), True, 1),
        (knows("bad"), False, -1),
        # Who likes a place has no taste.
        (lambda read: 1.0, False, 0),
        (lambda read: 0.0, False, 0),
        (lambda read: 0.9 if "[A]\ngood" in read else 0.6, False, 1),
    ],
)
async def test_harm_is_that_a_judge_prefers_what_exact_says_in_both_orders(likes, harmed, sign):
    judge = Judge(likes)
    found = await judged(judge, pair("good", "bad"))
    assert found.harmed is harmed
    assert round(found.loss, 6) * sign > 0 or sign == round(found.loss, 6) == 0
    assert "[A]\ngood" in judge.read[0] and "[B]\ngood" in judge.read[1]
    assert all(read.startswith("A story?") for read in judge.read)


async def test_a_judge_that_cannot_name_the_letters_is_refused():
    with pytest.raises(InvalidRequest, match="no token for each letter"):
        await judged(Judge(knows("good"), num_tokens=2), pair("good", "bad"))


async def test_a_judge_that_is_away_judges_nothing():
    with pytest.raises(Unavailable):
        await ByJudge(Fleet(["judge"]), "judge").compare(pair("good", "bad"))


@pytest.mark.parametrize(("lossy", "harm"), [(0.25, True), (0.5, False), (0.75, False)])
async def test_harm_is_that_a_tasks_score_falls(lossy, harm):
    scores = {("A story?", "one"): 0.5, ("A story?", "other"): lossy}
    found = await ByScore(lambda *read: scores[read]).compare(pair("one", "other"))
    assert found == Harm(harm, 0.5 - lossy)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
async def test_a_score_out_of_range_is_no_audit(score):
    with pytest.raises(InvalidRequest, match=r"not in \[0, 1\]"):
        await ByScore(lambda *_: score).compare(pair("one", "other"))


def test_a_grader_reads_what_was_asked_last():
    assert (text_of("Why?"), text_of(PROMPT)) == ("Why?", "A story?")
    with pytest.raises(InvalidRequest, match="by likelihood only"):
        text_of(TokenIds((1,), "f"))


def test_a_grader_is_named_by_its_module():
    assert imported_grader("tests.router.audited:grade") is audited.grade
    for name in ("", "tests.router.audited", "tests.router.audited:RIGHT", "no.such:grade"):
        with pytest.raises(InvalidRequest, match="audit_grader"):
            imported_grader(name)


def made(**settings):
    of_tier = {"service": "verifier", "engine": "onnx", "addresses": ["localhost:1"]}
    both = {"root": of_tier, "lookup": of_tier | {"service": "drafter"}}
    configuration = tiers.parse(
        {"tiers": both, "plans": {"plain": "root"}, "default_plan": "plain"}
    )
    found = studies(Settings(score_share=0.0, **settings), configuration, Fleet([]), Advice())
    return [one._comparison.method for one in found if isinstance(one, Audits)]


def test_audits_are_as_the_settings_say():
    assert made() == ["likelihood"]
    assert made(audit_share=0.0, certifying_share=0.0) == []
    assert made(audit_share=0.0) == made(certifying_share=0.0) == ["likelihood"]
    assert made(audit_method="judge", audit_judge="root") == ["judge"]
    assert made(audit_method="score", audit_grader="tests.router.audited:grade") == ["score"]


@pytest.mark.parametrize(
    "settings",
    [
        {"audit_method": "judge"},
        {"audit_method": "judge", "audit_judge": "lookup"},
        {"audit_method": "judge", "audit_judge": "other"},
        {"audit_method": "score"},
    ],
)
def test_what_nobody_could_compare_by_is_refused_at_the_start(settings):
    with pytest.raises(InvalidRequest, match="audit_"):
        made(**settings)
