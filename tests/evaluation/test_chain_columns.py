"""Columns of several tiers say what the pure rules say, block by block, and count every pass."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.conftest import data_folder, questions
from tests.evaluation.runs import assert_equal, cells_of, collect
from tiercel.decoding import Draft, Randomness, Target, choose, verify
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.evaluation.chain_decoding import ChainDecoder
from tiercel.evaluation.chain_level import ChainTier
from tiercel.evaluation.chain_replay import NUM_PLAIN, replayed
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.columns_on_tiers import ColumnOpener
from tiercel.evaluation.evidence import log_softmax
from tiercel.evaluation.generation import Request, TierDecoder
from tiercel.evaluation.loaded_tiers import LoadedTier, LoadedTiers
from tiercel.evaluation.step_cost import StepTimes, TierTimes, replay_seconds
from tiercel.tiers import load
from tiercel.types import Acceptance, Rule, SamplingParams

MOST = 40


@pytest.fixture(scope="module")
def tiers(chained: Path) -> Iterator[dict[str, LoadedTier]]:
    loaded = LoadedTiers(load(chained), threads=1)
    names = ("large", "middle", "small")
    yield dict(zip(names, loaded.get(names), strict=True))
    loaded.close()


def decoder(tiers: dict[str, LoadedTier], batch: int, *parts: tuple) -> ChainDecoder:
    chain = [
        ChainTier(name, tiers[name].model, tiers[name].vocabulary, acceptance, number)
        for name, acceptance, number in parts
    ]
    return ChainDecoder(chain, tiers["large"].tokenizer, batch)


GREEDY = SamplingParams()


def requests(tiers: dict[str, LoadedTier], params: SamplingParams = GREEDY):
    tokenizer = tiers["large"].tokenizer
    for at in range(3):
        prompt = tuple(tokenizer.encode(f"<|im_start|>the {at} things on" * (1 + 14 * (at == 1))))
        yield at, Request(prompt, params, MOST - 7 * at)


def plain(tiers, asked):
    alone = TierDecoder("large", tiers["large"].model, tiers["large"].tokenizer, 2)
    return dict(alone.run(asked))


EXACT = Acceptance()
SAMPLED = SamplingParams(0.7, seed=5)


@pytest.mark.parametrize("params", [SamplingParams(), SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("rest", [[], [("small", EXACT, 2)]], ids=["pair", "three levels"])
def test_under_exact_a_chain_says_what_its_root_does(tiers, params, rest):
    whole = decoder(tiers, 2, ("large", EXACT, 0), ("middle", EXACT, 4), *rest)
    expected = plain(tiers, requests(tiers, params))
    said = dict(whole.run(requests(tiers, params)))
    assert said.keys() == expected.keys()
    for key, one in said.items():
        alone = expected[key]
        assert (one.token_ids, one.finish) == (alone.token_ids, alone.finish)
        for name, values in vars(one.evidence).items():
            assert values == getattr(alone.evidence, name), name
        assert one.counts["divergent.large"] == 0
        assert 0 < one.counts["accepted.middle"] < one.counts["drafted.middle"]


def choices_of(tier: LoadedTier, prompt, answer) -> list[int]:
    cache = tier.model.open()
    (rows,) = tier.model.extend([Step(cache, [*prompt, *answer[:-1]], len(answer))])
    cache.close()
    return np.argmax(rows, axis=1).tolist()


def test_passes_are_those_that_the_replay_counts_from_matches(tiers):
    asked = dict(requests(tiers))
    chain = decoder(tiers, 3, ("large", EXACT, 0), ("middle", EXACT, 3))
    for key, one in chain.run(asked.items()):
        prompt, answer = asked[key].prompt_ids, one.token_ids
        matches = np.array(choices_of(tiers["middle"], prompt, answer)) == np.array(answer)
        assert 0 < matches.sum() < len(answer)
        blocks = replayed(matches, 3, max_new_tokens=asked[key].max_new_tokens)
        assert passes(one.counts, "large") == blocks.root
        assert passes(one.counts, "middle") == blocks.drafter
        told = (one.counts["drafted.middle"], one.counts["accepted.middle"])
        assert told == (blocks.num_drafted, blocks.num_accepted)
        assert one.counts["prompt_tokens.middle"] == len(prompt)


def passes(counts: dict[str, int], tier: str) -> Counter[int]:
    found = Counter[int]()
    for name, count in counts.items():
        what, _, who = name.partition(".")
        if who == tier and what.startswith("passes"):
            found[int(what.partition("@")[2] or 1)] += count
    return +found


def by_hand(tiers, acceptance, request: Request, length: int) -> tuple[list[int], int]:
    """The loop as one would write it, every pass over the whole sequence in a new cache."""
    large, small = tiers["large"], tiers["middle"]
    words, answer, divergent = large.vocabulary, list[int](), 0

    def rows(tier, tokens, num):
        cache = tier.model.open()
        (logits,) = tier.model.extend([Step(cache, [*request.prompt_ids, *tokens], num)])
        cache.close()
        return logits

    while len(answer) < request.max_new_tokens:
        draft, probs = list[int](), list[float]()
        room = min(length, request.max_new_tokens - len(answer) - 1)
        while len(answer) >= NUM_PLAIN and len(draft) < room:
            (row,) = rows(small, answer + draft, 1)
            draft.append(choose(row, request.params, words, 0))
            probs.append(float(np.exp(log_softmax(row)[draft[-1]])))
        logits = rows(large, answer + draft, len(draft) + 1)
        target = Target(logits, request.params, words)
        verdict = verify(acceptance, Draft(tuple(draft), tuple(probs)), target, Randomness(0))
        answer += verdict.committed(draft)
        divergent += len(verdict.divergences)
        if answer[-1] in large.tokenizer.eos_ids:
            break
    return answer, divergent


LOSSY = [
    Acceptance(Rule.CASCADE_OPT, 0.3),
    Acceptance(Rule.CASCADE_CHOW, 0.02),
    Acceptance(Rule.LENIENT, 0.5),
    Acceptance(Rule.COSD_RULE, 0.5),
]


@pytest.mark.parametrize("acceptance", LOSSY, ids=lambda one: one.rule.value)
def test_lossy_columns_are_what_the_rule_says(tiers, acceptance):
    asked = dict(requests(tiers))
    expected, num_divergent = plain(tiers, asked.items()), 0
    for key, one in decoder(tiers, 3, ("large", acceptance, 0), ("middle", EXACT, 3)).run(
        asked.items()
    ):
        answer, divergent = by_hand(tiers, acceptance, asked[key], 3)
        assert list(one.token_ids) == answer
        assert one.counts["divergent.large"] == divergent
        assert one.counts["compared.large"] == len(answer)
        num_divergent += divergent
        assert len(one.evidence.logprobs) == len(answer)
        if divergent:
            assert one.token_ids != expected[key].token_ids
    assert num_divergent > 0  # the rule did something


def test_answers_do_not_depend_on_what_is_decoded_beside_them(tiers):
    acceptance = Acceptance(Rule.CASCADE_OPT, 0.4)
    parts = (("large", acceptance, 0), ("middle", EXACT, 3), ("small", EXACT, 2))
    for params in (SamplingParams(), SAMPLED):
        # The drafter of a sampled cascade is asked for its distributions.
        one_by_one = dict(decoder(tiers, 1, *parts).run(requests(tiers, params)))
        together = dict(decoder(tiers, 3, *parts).run(requests(tiers, params)))
        for key, one in one_by_one.items():
            other = together[key]
            assert (one.token_ids, one.counts) == (other.token_ids, other.counts)
    reseeded = dict(decoder(tiers, 1, *parts).run(requests(tiers, replace(SAMPLED, seed=6))))
    assert any(one.token_ids != reseeded[key].token_ids for key, one in one_by_one.items())


COLUMN = "large <- middle:3; rule=lenient; strictness=0.3"


def test_the_matrix_holds_columns_of_chains(chained: Path, tmp_path: Path):
    data = data_folder(
        tmp_path / "data",
        nq_open_dev=questions(5),
        openbookqa_test=[{"prompt": "which?\nA. x\nB. y\nAnswer:", "reference": "A"}],
    )
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    collect(chained, data, whole, columns=[COLUMN])
    collect(chained, data, resumed, columns=[COLUMN], limit=2)
    collect(chained, data, resumed, columns=[COLUMN])
    assert_equal(whole, resumed)
    cells = cells_of(whole)
    assert {key[:2] for key in cells} == {(COLUMN, "nq_open_dev")}  # letters need no chain
    assert len(cells) == 5
    tier = TierTimes(prefill_s=0.1, prompt_token_s=0.0, pass_s={1: 1.0})
    times = StepTimes(tiers={"large": tier, "middle": tier})
    for one in cells.values():
        num_passes = sum(passes(one.counts, name).total() for name in times.tiers)
        assert replay_seconds(one, times) == pytest.approx(num_passes + 0.2)
        assert passes(one.counts, "large").total() < len(one.token_ids) - 1


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ("large <- middle:3", "those of large alone"),
        ("large <- middle:3; rule=lenient", "those of large alone"),
        ("large; rule=lenient; strictness=0.5", "no drafter"),
        ("large{lenient=0.5} <- middle; rule=lenient; strictness=0.5", "written behind"),
        ("large <- [middle, small]; rule=lenient; strictness=0.5", "one drafter"),
        ("large <- middle@0.5; rule=lenient; strictness=0.5", "whatever the confidence"),
        ("large <- middle; rule=cosd_tree; strictness=0.5", "decision tree"),
        ("large <- foreign; rule=lenient; strictness=0.5", "another tokenizer"),
        ("large <- lookup; rule=lenient; strictness=0.5", "no such tier"),
        ("large; temperature=0.7; votes=4", "counted from samples"),
    ],
)
def test_a_column_that_is_not_collected_is_refused(chained: Path, column: str, why: str):
    opener = ColumnOpener(load(chained), batch=1, threads=1)
    with pytest.raises((InvalidRequest, TokenizerMismatch), match=why):
        opener.open(parse_column(column))
    opener.close()
