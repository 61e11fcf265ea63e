"""What a root says of how sure it was of each token: the same that scoring says afterwards."""

from dataclasses import replace

import numpy as np
import pytest

from tests.speculation.answers import HOT, Answer, answer, ask, plain
from tests.speculation.fleet import Fleet, Replica, Weights
from tests.speculation.rule_fleet import long_ask, stream
from tests.speculation.test_agreement import family, num_unjudged, plan_of
from tests.speculation.toy_models import markov
from tiercel.clients.tier import score
from tiercel.plan_rules import LOCAL
from tiercel.replies import TokenEvidence
from tiercel.scores import ScoreAsk
from tiercel.sessions import Ask
from tiercel.types import Acceptance, Plan, Rule
from tiercel.wire.requests import TokenIds

PROMPT = "abcabcabc " * 3


def told(got: Answer) -> list[TokenEvidence]:
    evidence = [one for commit in got.commits for one in commit.evidence]
    assert len(evidence) == len(got.token_ids)
    return evidence


def measured(asked: Ask) -> Ask:
    return replace(asked, evidence=True)


async def scored(fleet: Fleet, root: Replica, got: Answer) -> list[TokenEvidence]:
    ids = TokenIds(tuple(got.token_ids), root.tier.tokenizer.fingerprint)
    found = await score(fleet.channel(root), ScoreAsk(PROMPT, (ids,)), timeout_s=150.0)
    [one] = found.continuations
    rows = zip(one.logprobs, one.entropies, one.margins, strict=True)
    return [TokenEvidence(known.logprob, *sure) for known, *sure in rows]


def rounded(evidence: list[TokenEvidence]) -> list[tuple[np.float32, ...]]:
    """As the message holds it."""
    return [tuple(np.float32(number) for number in vars(one).values()) for one in evidence]


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
@pytest.mark.parametrize(
    "weights", [Weights(), Weights("int8", engine="native")], ids=["onnx", "native"]
)
async def test_it_is_what_scoring_says(fleet: Fleet, weights: Weights, sampling: dict) -> None:
    root = await fleet.model("root", weights)
    draft = await fleet.model("draft", Weights(noise=0.05))
    asked = measured(ask(PROMPT, max_new_tokens=60, ignore_eos=True, **sampling))
    alone = await plain(fleet, root, asked)
    assert rounded(told(alone)) == rounded(await scored(fleet, root, alone))
    plan = root.plan(draft.plan(), Plan("side", LOCAL, num_speculative_tokens=8))
    with_drafters = await answer(fleet, root, plan, asked)
    assert told(with_drafters) == told(alone)
    drafted = [source for source in with_drafters.sources if source != "root"]
    assert len(drafted) > 0  # tokens accepted in a block are measured too


async def test_nothing_is_measured_unless_asked_for(fleet: Fleet) -> None:
    root = await fleet.model("root")
    got = await plain(fleet, root, ask(max_new_tokens=10, ignore_eos=True))
    assert not any(commit.evidence for commit in got.commits)


async def test_what_ends_an_answer_is_measured_and_nothing_behind_it(fleet: Fleet) -> None:
    root = await fleet.model("root")
    whole = await plain(fleet, root, ask(PROMPT, max_new_tokens=40, ignore_eos=True))
    stop = ask(PROMPT, max_new_tokens=40, stop_ids=[whole.token_ids[20]], ignore_eos=True)
    got = await plain(fleet, root, measured(stop))
    assert len(told(got)) == len(got.token_ids) <= 21


async def test_a_lossy_rule_leaves_what_is_measured_to_the_root(fleet: Fleet) -> None:
    root, draft = await fleet.model("root"), await fleet.model("draft", Weights(noise=0.05))
    lenient = Acceptance(Rule.LENIENT, 0.2)
    asked = measured(ask(PROMPT, max_new_tokens=60, ignore_eos=True))
    got = await answer(fleet, root, root.plan(draft.plan(), acceptance=lenient), asked)
    assert rounded(told(got)) == rounded(await scored(fleet, root, got))


async def test_where_it_is_wanted_no_token_stands_without_a_pass(fleet: Fleet) -> None:
    probs = markov(3)
    root, leaves = await family(fleet, probs, probs, target=probs)
    asked = long_ask(60, seed=5, temperature=0.0)
    for wanted in (False, True):
        got = await stream(fleet, root, plan_of(root, leaves), replace(asked, evidence=wanted))
        assert (num_unjudged(got) == 0) == wanted
