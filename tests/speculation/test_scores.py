"""Scores over sockets: those of the engine itself, and plain decoding's own choices."""

import asyncio

import numpy as np
import pytest

from tests.speculation.answers import HOT, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Models, Replica, Weights
from tiercel.clients.tier import score
from tiercel.engines.language_model import Step
from tiercel.errors import DeadlineExceeded, InvalidRequest, Overloaded, TokenizerMismatch
from tiercel.rpc.limits import MAX_MESSAGE_BYTES
from tiercel.scores import Choice, ScoreAsk, ScoredContinuation, Scores
from tiercel.speculation.model_tier import ModelTier
from tiercel.speculation.scoring import _PIECE, MAX_SCORED_TOKENS
from tiercel.speculation.turn import Memory, Turn
from tiercel.speculation.waiting import WaitingTurns
from tiercel.types import Message, SamplingParams, TokenLogprob
from tiercel.v1 import tier_pb2
from tiercel.v1.tier_pb2_grpc import TierStub
from tiercel.wire.requests import MAX_TOP_LOGPROBS, TokenIds
from tiercel.wire.scores import score_ask_from_pb, scores_to_pb

PROMPT = (Message("user", "Tell me of the sea"),)
GREEDY = {"temperature": 0.0}


@pytest.fixture
async def root(fleet: Fleet) -> Replica:
    return await fleet.model("root", tier_class=ModelTier)


def ids(root: Replica, *token_ids: int) -> TokenIds:
    return TokenIds(token_ids, root.tier.tokenizer.fingerprint)


async def scored(fleet: Fleet, replica: Replica, asked: ScoreAsk) -> Scores:
    return await score(fleet.channel(replica), asked, timeout_s=150.0)


async def said(fleet: Fleet, root: Replica, number: int, **sampling) -> tuple[int, ...]:
    asked = ask(PROMPT, max_new_tokens=number, ignore_eos=True, **sampling)
    return tuple((await plain(fleet, root, asked)).token_ids)


@pytest.mark.parametrize("sampling", [GREEDY, HOT, HOT | {"top_k": 20, "top_p": 0.9}])
async def test_the_choices_in_a_plain_answer_are_its_tokens(fleet: Fleet, root: Replica, sampling):
    token_ids = await said(fleet, root, 130, **sampling)  # in three pieces
    params = SamplingParams(**sampling)
    found = await scored(fleet, root, ScoreAsk(PROMPT, (ids(root, *token_ids),), params))
    [one] = found.continuations
    assert one.token_ids == token_ids
    assert tuple(choice.token_id for choice in one.choices) == token_ids
    assert found.tier == "root" and found.numerics_id


async def test_another_seed_would_have_chosen_other_tokens(fleet: Fleet, root: Replica):
    token_ids = await said(fleet, root, 60, **HOT)
    params = SamplingParams(temperature=0.8, seed=8)
    [one] = (
        await scored(fleet, root, ScoreAsk(PROMPT, (ids(root, *token_ids),), params))
    ).continuations
    assert tuple(choice.token_id for choice in one.choices) != token_ids


async def test_log_probabilities_are_those_that_the_answer_came_with(fleet: Fleet, root: Replica):
    told = await plain(fleet, root, ask(PROMPT, max_new_tokens=60, ignore_eos=True, **HOT))
    asked = ScoreAsk(PROMPT, (ids(root, *told.token_ids),), num_top_logprobs=2)
    [one] = (await scored(fleet, root, asked)).continuations
    assert list(one.logprobs) == told.logprobs


async def test_every_number_is_the_engines_own(fleet: Fleet, root: Replica, models: Models):
    texts = ("the other", " and on", "\U0001f40b whales")
    asked = ScoreAsk("Once upon", texts, num_top_logprobs=3)
    found = await scored(fleet, root, asked)
    model, tokenizer = models.load("root", Weights())
    prompt = tokenizer.encode("Once upon", add_special=True)
    for text, one in zip(texts, found.continuations, strict=True):
        assert list(one.token_ids) == tokenizer.encode(text)
        cache = model.open()
        [rows] = model.extend([Step(cache, [*prompt, *one.token_ids[:-1]], len(one.token_ids))])
        cache.close()
        check_rows(one, rows.astype(np.float64))


def check_rows(one: ScoredContinuation, rows: np.ndarray) -> None:
    logs = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    for place, (token_id, log) in enumerate(zip(one.token_ids, logs, strict=True)):
        entry, best = one.logprobs[place], np.argsort(-log)
        assert (entry.token_id, entry.logprob) == (token_id, pytest.approx(log[token_id]))
        assert [token for token, _ in entry.top] == best[:3].tolist()
        assert one.choices[place].token_id == best[0]
        assert one.choices[place].prob == pytest.approx(np.exp(log[best[0]]))
        assert one.entropies[place] == pytest.approx(-(np.exp(log) * log).sum(), rel=1e-5)
        assert one.margins[place] == pytest.approx(log[best[0]] - log[best[1]], rel=1e-4)


async def test_continuations_do_not_see_each_other(fleet: Fleet, root: Replica):
    texts = ("the same", "other words and then some more of them " * 3, "the same")
    together = await scored(fleet, root, ScoreAsk(PROMPT, texts))
    alone = await scored(fleet, root, ScoreAsk(PROMPT, texts[1:2]))
    assert together.continuations[0] == together.continuations[2]
    assert together.continuations[1] == alone.continuations[0]


async def test_sessions_beside_it_say_what_they_say_alone(fleet: Fleet, root: Replica):
    draft = await fleet.model("draft", Weights(noise=0.05))
    asked = [
        ask(PROMPT, max_new_tokens=80, ignore_eos=True, temperature=0.8, seed=n) for n in (1, 2)
    ]
    expected = [await plain(fleet, root, one) for one in asked]
    long = ScoreAsk(PROMPT, ("of ships and ice " * 15,) * 4, SamplingParams(**HOT))
    alone = await scored(fleet, root, long)
    plan = root.plan(draft.plan(num_speculative_tokens=3))
    *scores, first, second = await asyncio.gather(
        *(scored(fleet, root, long) for _ in range(3)),
        answer(fleet, root, plan, asked[0]),
        plain(fleet, root, asked[1]),
    )
    assert scores == [alone] * 3
    assert [first.same, second.same] == [one.same for one in expected]
    await eventually(lambda: root.num_sessions == 0)


async def test_the_prompt_is_fed_once_for_all_continuations_and_calls(fleet: Fleet):
    root, fed = await fleet.model("root", tier_class=ModelTier), []
    passes = root.tier.runner._passes
    extend = passes._model.extend

    def counted(steps: list[Step]):
        fed.append(sum(len(step.tokens) for step in steps))
        return extend(steps)

    passes._model.extend = counted
    prompt = ids(root, *range(40, 140))
    asked = ScoreAsk(prompt, (ids(root, 70, 71, 72), ids(root, 80, 81)))
    await scored(fleet, root, asked)
    first = sum(fed)
    assert first == 100 + 2 + 1 + 1  # all but the last tokens; the prompt's last one twice
    await scored(fleet, root, asked)
    assert sum(fed) - first <= 1 + 2 + 1 + 1


def test_what_is_scored_waits_behind_the_tokens_of_answers():
    waiting = WaitingTurns(max_batch_rows=64)
    turns = [
        Turn(Memory(), 0, [1] * count, 1, lambda rows: rows, lambda: False)
        for count in (_PIECE, 1, 5)
    ]
    for turn in turns:
        waiting.add(turn)
    assert waiting.take().turns == (turns[1], turns[2], turns[0])


def bad(root: Replica, **fields) -> ScoreAsk:
    return ScoreAsk(**{"prompt": PROMPT, "continuations": ("text",)} | fields)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"prompt": ""}, "prompt=''"),
        ({"continuations": ()}, "continuations=0"),
        ({"continuations": ("a",) * 65}, "continuations=65"),
        ({"continuations": ("a", "")}, "continuations[1]=''"),
        ({"continuations": ("word " * 600,)}, "continuations[0]="),
        ({"num_top_logprobs": 21}, "num_top_logprobs=21"),
        ({"sampling": SamplingParams(temperature=-1.0)}, "temperature=-1.0"),
    ],
)
async def test_what_cannot_be_scored_is_named(fleet: Fleet, root: Replica, fields, why: str):
    with pytest.raises(InvalidRequest) as refused:
        await scored(fleet, root, bad(root, **fields))
    assert why in str(refused.value)
    await eventually(lambda: root.num_sessions == 0)


async def test_ids_outside_the_vocabulary_or_of_another_are_refused(fleet: Fleet, root: Replica):
    with pytest.raises(InvalidRequest) as refused:
        await scored(fleet, root, bad(root, continuations=("a", ids(root, 70, 269))))
    assert "continuations[1].ids=269" in str(refused.value)
    foreign = TokenIds((70,), "another")
    for fields in ({"prompt": foreign}, {"continuations": (foreign,)}):
        with pytest.raises(TokenizerMismatch, match="another"):
            await scored(fleet, root, bad(root, **fields))


async def test_too_many_tokens_in_all_are_refused(fleet: Fleet, root: Replica):
    each = ids(root, *[70] * 200)
    with pytest.raises(InvalidRequest) as refused:
        await scored(fleet, root, bad(root, continuations=(each,) * 64))
    assert f"continuations={64 * 200}: at most {MAX_SCORED_TOKENS}" in str(refused.value)


def test_the_most_that_can_be_scored_fits_a_message():
    worst = TokenLogprob(2**31, -1.5, ((2**31, -1.5),) * MAX_TOP_LOGPROBS)
    one = ScoredContinuation(
        (2**31,) * MAX_SCORED_TOKENS,
        (Choice(2**31, 0.5),) * MAX_SCORED_TOKENS,
        (worst,) * MAX_SCORED_TOKENS,
        (1.0,) * MAX_SCORED_TOKENS,
        (1.0,) * MAX_SCORED_TOKENS,
    )
    assert scores_to_pb(Scores((one,), "tier", "n" * 64)).ByteSize() < MAX_MESSAGE_BYTES


def test_a_seed_is_missed_where_it_is_needed():
    message = tier_pb2.ScoreRequest(continuations=[tier_pb2.Continuation(text="a")])
    message.prompt.text, message.sampling.temperature = "b", 0.5
    with pytest.raises(InvalidRequest) as refused:
        score_ask_from_pb(message)
    assert refused.value.field == "sampling.seed"
    message.sampling.seed = 0
    assert score_ask_from_pb(message).sampling.temperature == 0.5


async def test_a_full_tier_scores_nothing_more(fleet: Fleet):
    root = await fleet.model("root", tier_class=ModelTier, max_sessions=1)
    with root.tier.slots.taken(), pytest.raises(Overloaded):
        await scored(fleet, root, bad(root))
    assert (await scored(fleet, root, bad(root))).continuations


async def test_a_call_out_of_time_ends_and_leaves_nothing(fleet: Fleet, root: Replica):
    asked = bad(root, continuations=("a long text " * 10,) * 60)
    with pytest.raises(DeadlineExceeded):
        await score(fleet.channel(root), asked, timeout_s=0.06)
    await eventually(lambda: root.num_sessions == 0 and root.tier.runner.num_waiting == 0)


async def test_a_cancelled_call_leaves_nothing(fleet: Fleet, root: Replica):
    message = tier_pb2.ScoreRequest(
        continuations=[tier_pb2.Continuation(text="a long text " * 10)] * 60
    )
    message.prompt.text = "b"
    call = TierStub(fleet.channel(root)).Score(message, timeout=60.0)
    await eventually(lambda: root.num_sessions == 1)
    call.cancel()
    await eventually(lambda: root.num_sessions == 0 and root.tier.runner.num_waiting == 0)
    assert len(await said(fleet, root, 3)) == 3
