"""A root that judges what another tier said first: the answer is its own, only sooner."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, eventually, plain
from tests.speculation.fleet import Fleet, Replica, Weights
from tiercel.engines.guesses import Guess
from tiercel.engines.overtaken import OvertakenText
from tiercel.errors import InvalidRequest
from tiercel.plan_rules import LOCAL
from tiercel.sessions import Ask, DraftPrefix
from tiercel.speculation.overtaken import _MOST_AT_ONCE
from tiercel.types import Acceptance, Constraint, ConstraintForm, Plan, Rule
from tiercel.wire.requests import TokenIds

ENGINES = ["onnx", "native"]
SAMPLINGS = pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])


def after(asked: Ask, root: Replica, token_ids: Sequence[int], text: str = "") -> Ask:
    """Ask the same behind tokens of the root's vocabulary that a small tier said."""
    ids = TokenIds(tuple(token_ids), root.tier.tokenizer.fingerprint)
    return replace(asked, draft_prefix=DraftPrefix("small", ids, text))


def cut_in(token_ids: Sequence[int], place: int) -> list[int]:
    """Return the tokens with a wrong one at a place, behind which they are right again."""
    return [*token_ids[:place], (token_ids[place] + 1) % 250, *token_ids[place:]]


async def alone(fleet: Fleet, root: Replica, **options) -> tuple[Ask, Answer]:
    asked = ask(max_new_tokens=80, ignore_eos=True, **options)
    return asked, await plain(fleet, root, asked)


@SAMPLINGS
@pytest.mark.parametrize("weights", [Weights(), Weights("int4", engine="native")], ids=ENGINES)
async def test_a_right_beginning_is_accepted_in_blocks(fleet, weights, sampling) -> None:
    root = await fleet.model("root", weights)
    asked, truth = await alone(fleet, root, **sampling)
    got = await plain(fleet, root, after(asked, root, truth.token_ids[:50]))
    assert got.same == truth.same
    assert got.sources[:50].count("small") >= 40
    assert got.sources[50:] == ["root"] * 30
    pair = got.pair("small")
    assert (pair.num_accepted_tokens, pair.num_rejected_tokens) == (got.sources.count("small"), 0)
    assert got.tier("small").num_committed_tokens == pair.num_accepted_tokens
    # It was no drafter: what the router plans with does not know of it.
    assert not root.tier.describe().drafters
    assert got.tier("root").num_forward_passes <= 80 - 40
    assert max(len(commit.token_ids) for commit in got.commits) <= _MOST_AT_ONCE + 50


@SAMPLINGS
async def test_the_rest_is_drafted_from_where_the_root_agrees_again(fleet, sampling) -> None:
    root = await fleet.model("root")
    asked, truth = await alone(fleet, root, **sampling)
    got = await plain(fleet, root, after(asked, root, cut_in(truth.token_ids, 20)))
    assert got.same == truth.same
    assert got.sources[20] == "root"  # in place of the wrong one
    assert got.sources[21:].count("small") > 30
    assert 0 < got.pair("small").num_rejected_tokens < 10


async def test_without_the_rest_nothing_would_be_drafted_again(fleet: Fleet, monkeypatch) -> None:
    """The negative control of the test above."""
    monkeypatch.setattr("tiercel.engines.overtaken.SuffixIndex.guess", lambda _: None)
    root = await fleet.model("root")
    asked, truth = await alone(fleet, root)
    got = await plain(fleet, root, after(asked, root, cut_in(truth.token_ids, 20)))
    assert got.same == truth.same
    assert got.sources[21:].count("small") == 0


@SAMPLINGS
@pytest.mark.parametrize("beside", ["nothing", "a model", "a look-up", "both"])
async def test_with_drafters_beside_it_the_answer_is_the_same(fleet, sampling, beside) -> None:
    root = await fleet.model("root")
    draft = await fleet.model("draft", Weights(noise=0.05))
    side = Plan("side", LOCAL, num_speculative_tokens=8)
    plans = {"nothing": [], "a model": [draft.plan()], "a look-up": [side]}
    plan = root.plan(*plans.get(beside, [draft.plan(), side]))
    asked, truth = await alone(fleet, root, prompt="abcabcabc " * 3, **sampling)
    for said in (truth.token_ids[:30], cut_in(truth.token_ids, 10), [7] * 60):
        got = await answer(fleet, root, plan, after(asked, root, said))
        assert got.same == truth.same


@SAMPLINGS
async def test_another_tokenizer_goes_by_the_text(fleet: Fleet, sampling: dict) -> None:
    small = await fleet.model("small", Weights(tokenizer="bytes, reversed"))
    root = await fleet.model("root", Weights(tokenizer="bytes"))
    # What is no character of UTF-8 would be lost in the text.
    letters = Constraint(ConstraintForm.REGEX, "[a-z ]{60,90}")
    asked = replace(ask(max_new_tokens=60, **sampling), constraint=letters)
    # The same weights, other ids; fewer tokens than the root may say.
    said = await plain(fleet, small, replace(asked, stop=replace(asked.stop, max_new_tokens=40)))
    truth = await plain(fleet, root, asked)
    got = await plain(fleet, root, after(asked, small, said.token_ids, said.text))
    assert got.same == truth.same
    assert got.sources.count("small") > 30  # a pass that accepts all of a block adds one
    # Ids that mean something else here are never taken for ours.
    wrong = await plain(fleet, root, after(asked, small, truth.token_ids, ""))
    assert wrong.same == truth.same
    assert wrong.sources.count("small") == 0


async def test_stops_limits_and_constraints_are_those_of_plain_decoding(fleet: Fleet) -> None:
    root = await fleet.model("root")
    _, whole = await alone(fleet, root)
    word = whole.text[20:23]
    digits = Constraint(ConstraintForm.REGEX, "[0-9]{3,30}")
    for asked in (
        ask(max_new_tokens=80, stop_strings=[word]),
        ask(max_new_tokens=80, stop_ids=[whole.token_ids[30]]),
        ask(max_new_tokens=1),
        ask(max_new_tokens=25, ignore_eos=True),
        replace(ask(max_new_tokens=40), constraint=digits),
    ):
        truth = await plain(fleet, root, asked)
        for said in (whole.token_ids, truth.token_ids, cut_in(truth.token_ids, 0)):
            got = await plain(fleet, root, after(asked, root, said))
            assert got.same == truth.same


async def test_a_lost_root_is_gone_on_from_with_the_same_prefix(fleet: Fleet) -> None:
    root = await fleet.model("root")
    asked, truth = await alone(fleet, root, **HOT)
    for number in (1, 15, 30, 79):
        said = after(asked, root, cut_in(truth.token_ids, 20))
        got = await plain(fleet, root, said, committed=truth.token_ids[:number])
        assert got.token_ids == truth.token_ids[number:]
        assert number == 79 or got.sources.count("small") > 10


async def test_a_lossy_rule_judges_it_as_any_draft(fleet: Fleet) -> None:
    root = await fleet.model("root")
    asked, truth = await alone(fleet, root)
    keeping = root.plan(acceptance=Acceptance(Rule.LENIENT, 0.0))
    got = await answer(fleet, root, keeping, after(asked, root, cut_in(truth.token_ids, 20)))
    assert got.end.rule_use is not None and got.end.rule_use.rule is Rule.LENIENT
    exact = root.plan(acceptance=Acceptance(Rule.REJECTION))
    asked, truth = await alone(fleet, root, **HOT)
    got = await answer(fleet, root, exact, after(asked, root, truth.token_ids))
    assert len(got.token_ids) == 80


async def test_it_stays_when_the_plan_changes(fleet: Fleet) -> None:
    root, draft = await fleet.model("root"), await fleet.model("draft", Weights(noise=0.05))
    asked, truth = await alone(fleet, root)
    waiting = [root.plan(draft.plan(), version=1), root.plan(version=2)]

    def watch(session, got: Answer) -> None:
        if waiting and got.token_ids:
            session.replan(waiting.pop(0))

    said = after(asked, root, cut_in(truth.token_ids, 40))
    got = await answer(fleet, root, root.plan(), said, watch=watch)
    assert got.same == truth.same
    assert got.sources.count("small") > 10
    await eventually(lambda: root.num_sessions == draft.num_sessions == 0)


async def test_what_cannot_be_a_prefix_is_refused(fleet: Fleet) -> None:
    root = await fleet.model("root")
    with pytest.raises(InvalidRequest, match=r"draft_prefix\.ids"):
        await plain(fleet, root, after(ask(), root, [1, 100_000]))
    nameless = replace(ask(), draft_prefix=DraftPrefix("", TokenIds((1,), ""), "a"))
    with pytest.raises(InvalidRequest, match=r"draft_prefix\.tier"):
        await plain(fleet, root, nameless)
    assert (await plain(fleet, root, after(ask(), root, []))).token_ids


def guesses(source: OvertakenText, number: int) -> list[int]:
    found: list[int] = []
    while len(found) < number and (guess := source.guess()) is not None:
        found.append(guess.token)
        source.append([guess.token])
    return found


def test_the_text_is_followed_and_then_looked_up_in() -> None:
    source = OvertakenText(2, [5, 6, 7, 8, 9, 10])
    assert source.guess() is None  # the prompt is not there yet
    source.append([1, 2])
    assert source.guess() == Guess(5, 0.75)
    assert guesses(source, 9) == [5, 6, 7, 8, 9, 10]
    source.truncate(4)
    assert source.guess() == Guess(7, 5 / 6)
    source.append([0])
    assert source.guess() is None
    source.append([8, 9])
    assert guesses(source, 9) == [10]
    source.truncate(3)  # to where all agrees
    assert guesses(source, 2) == [6, 7]
