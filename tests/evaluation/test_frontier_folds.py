"""Grouping of near duplicates, and folds that keep groups together."""

from collections import Counter

import numpy as np

from tiercel.evaluation.frontier.folds import leave_one_out, splits
from tiercel.evaluation.frontier.grouping import near_duplicates

STORY = "the ship left the harbour at dawn with forty men and a cargo of salt for the north "


def test_near_duplicates_share_a_group_and_others_do_not():
    texts = [STORY + "how many men", "what is the capital of france", STORY + "what cargo", "no"]
    groups = near_duplicates(texts)
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_near_duplicates_are_found_over_several_steps():
    words = [f"word{at}" for at in range(60)]
    steps = [" ".join(words[8 * at : 8 * at + 40]) for at in range(3)]
    # The first and the last have few words in common; the middle one joins them.
    assert len(set(near_duplicates(steps))) == 1
    assert len(set(near_duplicates([steps[0], steps[2]]))) == 2


def test_half_alike_is_not_enough():
    assert len(set(near_duplicates([STORY + STORY[::-1], STORY + STORY.upper()[:40][::-1]]))) == 2


def groups_and_kinds(count: int = 400):
    random = np.random.default_rng(0)
    groups = [f"g{at}" for at in random.integers(0, count * 2 // 3, count)]
    by_group = {group: "ab"[at % 2] for at, group in enumerate(dict.fromkeys(groups))}
    return groups, [by_group[group] for group in groups]


def test_every_prompt_is_tested_once_and_no_group_is_split():
    groups, kinds = groups_and_kinds()
    tested = Counter[int]()
    for split in splits(groups, kinds):
        parts = [split.train, split.calibration, split.validation, split.test]
        assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
        seen = [{groups[at] for at in part} for part in parts]
        assert sum(map(len, seen)) == len(set.union(*seen))
        tested.update(split.test.tolist())
        shares = [len(part) / len(groups) for part in parts]
        assert np.allclose(shares, [0.6, 0.1, 0.1, 0.2], atol=0.04)
    assert tested == Counter(range(len(groups)))


def test_kinds_are_spread_over_folds_and_another_seed_deals_otherwise():
    groups, kinds = groups_and_kinds()
    for split in splits(groups, kinds):
        assert 0.35 < np.mean([kinds[at] == "a" for at in split.test]) < 0.65
    first, other = (next(splits(groups, kinds, seed=seed)) for seed in (0, 1))
    assert set(first.test) != set(other.test)


def test_a_kind_left_out_is_seen_nowhere_not_even_by_its_groups():
    groups = ["g0", "g1", "g2", "g3", "g0", *(f"h{at}" for at in range(20))]
    kinds = ["a"] * 4 + ["b"] * 21
    left_out = dict(leave_one_out(groups, kinds))
    split = left_out["a"]
    assert split.test.tolist() == [0, 1, 2, 3]
    seen = {*split.train, *split.calibration, *split.validation}
    assert seen == set(range(5, 25))  # row 4 is of a's group
