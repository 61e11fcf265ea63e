"""Drafts of several drafters are verified as one tree: the answer is plain decoding's still."""

from collections.abc import Sequence

import numpy as np
import pytest

from tests.speculation.answers import HOT, answer, ask, plain
from tests.speculation.fleet import Fleet, Models, Weights
from tiercel.decoding import TokenDistribution, Vocabulary
from tiercel.draft_stream import TokenSequence
from tiercel.speculation.budget import LossBudget
from tiercel.speculation.draft_tree import DraftTree
from tiercel.speculation.judging import Terms
from tiercel.speculation.length import Costs
from tiercel.speculation.link import Draft
from tiercel.speculation.links import Links, Proposed
from tiercel.speculation.runner import ModelRunner
from tiercel.speculation.session import Session
from tiercel.speculation.step_times import StepTimes
from tiercel.types import Plan, SamplingParams

NATIVE = Weights("int4", engine="native")
PROMPT = list(range(40, 77))


class Sessions:
    """Sessions of one model whose passes are counted by the trees in them."""

    def __init__(self, models: Models, weights: Weights) -> None:
        model, tokenizer = models.load(f"trees of {weights.engine}", weights)
        self.trees, real = list[Sequence[int]](), model.extend

        def noted(steps):
            self.trees += [step.parents for step in steps if step.parents is not None]
            return real(steps)

        model.extend = noted
        self._runner = ModelRunner(model, prefix_cache_tokens=100)
        ids = range(model.description.vocab_size)
        self._vocabulary = Vocabulary.of([tokenizer.token_bytes(token_id) for token_id in ids])

    def open(self, **sampling) -> Session:
        terms = Terms(len(PROMPT), SamplingParams(**sampling))
        return Session(self._runner, self._vocabulary, TokenSequence(PROMPT), terms)

    async def plain(self, number: int, **sampling) -> list[int]:
        session = self.open(**sampling)
        tokens = [(await session.verify()).token_ids[0] for _ in range(number)]
        session.close()
        return tokens


@pytest.fixture(params=[NATIVE, Weights(engine="torch")], ids=["native", "torch"])
def sessions(models: Models, request: pytest.FixtureRequest) -> Sessions:
    return Sessions(models, request.param)


def wrong(token_id: int) -> int:
    return token_id + 1 if token_id < 200 else token_id - 1


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
async def test_the_draft_stands_that_is_right_whichever_it_is(sessions: Sessions, sampling: dict):
    true = await sessions.plain(30, **sampling)
    session, said = sessions.open(**sampling), list[int]()
    lengths = []
    while len(said) < 20:
        rest = true[len(said) :]
        bad = Draft((rest[0], wrong(rest[1]), rest[2], rest[3]), ("bad",) * 4)
        good = Draft(tuple(rest[:3]), ("good",) * 3)
        poor = Draft((wrong(rest[0]), 5), ("poor",) * 2)
        drafts = [(bad, good, poor), (good, bad), (poor, good), (poor, bad), (poor,)]
        first, *others = drafts[len(lengths) % len(drafts)]
        verified = await session.verify(first, others=others)
        lengths.append(len(verified.token_ids))
        assert verified.proposed is (good if good in (first, *others) else (first, *others)[-1])
        assert [verified.num_accepted_of(draft) for draft in (bad, good, poor)] == [
            1 if len(verified.token_ids) > 1 else int(verified.token_ids[0] == rest[0]),
            min(3, len(verified.token_ids)),
            0,
        ]
        said += verified.token_ids
    assert said == true[: len(said)]
    assert lengths[:5] == [4, 4, 4, 2, 1]
    assert len(sessions.trees) >= 4
    session.close()


async def test_rows_of_the_wrong_way_are_seen(sessions: Sessions, monkeypatch: pytest.MonkeyPatch):
    """A negative control: each draft is judged by the other's rows, and kept are those."""
    true, paths = await sessions.plain(12), DraftTree.paths.func
    monkeypatch.setattr(DraftTree, "paths", property(lambda tree: paths(tree)[::-1]))
    session = sessions.open()
    drafts = Draft(tuple(map(wrong, true[:2]))), Draft(tuple(true[:2]))
    said = list((await session.verify(drafts[0], others=drafts[1:])).token_ids)
    while len(said) < 12:
        said += (await session.verify()).token_ids
    assert said != true
    session.close()


async def test_hidden_states_are_those_of_the_way_that_stands(models: Models):
    sessions = Sessions(models, NATIVE)
    true = await sessions.plain(4)
    good, bad = Draft(tuple(true[:3])), Draft((wrong(true[0]), true[1]))
    found = []
    for drafts in ([good], [bad, good]):
        session = sessions.open()
        feed = session.hidden.feed()
        feed.opened(*_asked(sessions))
        await session.verify(drafts[0], others=drafts[1:])
        found.append(feed.rows(len(session.sequence), len(PROMPT)))
        session.close()
    assert found[0] == found[1] != b""


def _asked(sessions: Sessions) -> tuple[int, str]:
    description = sessions._runner.description
    return description.hidden_size, description.weights_digest


def test_drafts_share_the_rows_with_which_they_begin():
    tree = DraftTree((Draft((1, 2, 3)), Draft((1, 2)), Draft((1, 4)), Draft((5,))))
    assert tree.token_ids == (1, 2, 3, 4, 5)
    assert tree.parents == [-1, 0, 1, 0, -1]
    assert tree.paths == ((0, 1, 2), (0, 1), (0, 3), (4,))
    assert (tree.num_more(Draft((1, 2, 9, 9))), tree.num_more(Draft((5,)))) == (2, 0)
    assert DraftTree((Draft((1, 2)),)).parents is None


def test_a_further_draft_is_taken_where_its_tokens_cost_next_to_nothing():
    dear, cheap = StepTimes(), StepTimes()
    for steps, second in ((dear, 1.2), (cheap, 1.001)):
        for width, seconds in ((1, 1.0), (2, second), (1, 1.0), (2, second)):
            steps.note(width, seconds)
    assert not Costs(dear, left_s=1.0, takes_trees=True).takes(1)
    assert Costs(dear, left_s=np.inf, takes_trees=True).takes(1)  # as measurements ask for
    assert Costs(cheap, left_s=1.0, takes_trees=True).takes(4)
    assert not Costs(cheap, left_s=1.0, takes_trees=True, sharing=30).takes(4)
    assert not Costs(cheap, left_s=1.0).takes(1)


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
async def test_two_drafters_and_a_chain_draft_for_one_root(fleet: Fleet, sampling: dict):
    root = await fleet.model("root", NATIVE)
    good = await fleet.model("good", Weights("int8", engine="native"))
    poor = await fleet.model("poor", Weights(noise=0.05))
    suffix = await fleet.suffix(min_confidence=0.01)
    asked = ask("abcabcabc " * 4, max_new_tokens=120, ignore_eos=True, **sampling)
    expected = await plain(fleet, root, asked)
    for plan in (
        root.plan(good.plan(), poor.plan(num_speculative_tokens=6)),
        root.plan(good.plan(suffix.plan()), poor.plan(), suffix.plan(num_speculative_tokens=16)),
    ):
        got = await answer(fleet, root, plan, asked)
        assert got.same == expected.same
        assert not got.lost


class Ready:
    """A drafter whose draft is here."""

    is_over = False

    def __init__(self, plan: Plan, draft: Draft) -> None:
        self.plan, self._draft = plan, draft

    def ask(self, costs: Costs, most: int) -> None:
        pass

    def draft(self) -> Draft:
        return self._draft

    def heard(self, draft: Draft) -> None:
        assert draft == self._draft


async def proposed(*drafts: Draft, most: int = 8, takes_trees: bool = True) -> Proposed:
    """What is verified where rows cost nothing that counts."""
    by_name = {f"drafter-{number}": draft for number, draft in enumerate(drafts)}
    plan = Plan("root", drafters=tuple(Plan(name) for name in by_name))
    links = Links(lambda part: Ready(part, by_name[part.tier]), plan)
    costs = Costs(StepTimes(), left_s=np.inf, takes_trees=takes_trees)
    return await links.propose(most, costs, LossBudget(unlimited=True), lambda: True)


async def test_all_drafts_that_are_here_are_verified_together():
    long, short, same = Draft((1, 2, 3)), Draft((1, 4)), Draft((1, 2, 3))
    found = await proposed(short, long, same)
    assert found.draft == long
    assert found.tree.token_ids == (1, 2, 3, 4)
    assert [(link.plan.tier, draft) for link, draft in found.by_link()] == [
        ("drafter-1", long),
        ("drafter-0", short),
        ("drafter-2", same),
    ]
    assert (await proposed(short, long, most=1)).tree.token_ids == (1,)


def drawn(*token_ids: int) -> Draft:
    certain = tuple(TokenDistribution.certain(token_id) for token_id in token_ids)
    return Draft(token_ids, distributions=certain)


async def test_one_draft_is_verified_where_trees_are_not_taken():
    found = await proposed(Draft((1, 2)), Draft((3,)), takes_trees=False)
    assert (found.draft.token_ids, found.others, len(found.links)) == ((1, 2), (), 1)


async def test_drafts_that_were_drawn_are_tried_in_the_plans_order():
    """Neither their lengths nor what they say may decide."""
    found = await proposed(drawn(1), drawn(1, 2, 3), Draft((4,)))
    assert [draft.token_ids for _, draft in found.by_link()] == [(1,), (1, 2, 3), (4,)]


async def test_what_a_drawn_draft_costs_does_not_hang_on_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[int] = []
    monkeypatch.setattr(Costs, "takes", lambda self, num_more: asked.append(num_more))
    await proposed(drawn(1, 2), drawn(1, 2), drawn(3))
    assert asked == [2, 1]
    await proposed(Draft((1, 2)), Draft((1, 2)), Draft((3,)))
    assert asked[2:] == [0, 1]
