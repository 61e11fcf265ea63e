"""Stages from the matrix: which answers are paired, and what every way takes, by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.evidence import halves
from tiercel.evaluation.matrix import Cells, CellsManifest, TierIdentity
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.step_cost import StepTimes, TierTimes
from tiercel.stopping.evidence import EVIDENCE_NAMES, evidence_vector
from tiercel.stopping.recorded import stage_data
from tiercel.stopping.stages import StageData, joined
from tiercel.types import FinishReason

# A prompt of five tokens takes 0.5 and 5 seconds.
TIMES = StepTimes(
    tiers={
        "small": TierTimes(prefill_s=0.2, prompt_token_s=0.06, pass_s={1: 1.0, 8: 2.0}),
        "large": TierTimes(prefill_s=2.0, prompt_token_s=0.6, pass_s={1: 10.0, 8: 20.0}),
    }
)
TIERS = ("small", "large")
NUM_PROMPT = 5


def outcome(tier: str, ids: Sequence[int], *, at: int = 0, score: float = 1.0, sample: int = 0):
    draw = np.random.default_rng(len(ids) + at)
    return Outcome(
        prompt_id=f"p{at}",
        prompt_hash=at,
        numerics_id="n",
        token_ids=tuple(ids),
        finish=FinishReason.STOP_TOKEN,
        scores={"f1": score, "exact": 0.0},
        sample=sample,
        logprobs=halves((-draw.random(len(ids))).tolist()),
        entropies=halves(draw.random(len(ids)).tolist()),
        margins=halves(draw.random(len(ids)).tolist()),
        counts={f"passes.{tier}": len(ids) - 1, f"prompt_tokens.{tier}": NUM_PROMPT},
    )


def cells(
    tier: str, outcomes: Sequence[Outcome], *, set_name: str = "nq_open_dev", tokenizer: str = "t"
) -> Cells:
    identity = TierIdentity(
        model=tier, engine="e", dtype="d", weights_digest=f"of {tier}",
        tokenizer_fingerprint=tokenizer,
    )  # fmt: skip
    manifest = CellsManifest(
        column=tier, set_name=set_name, data_digest="d", set_digest="s", tiers={tier: identity}
    )
    return Cells(Path(tier), manifest, tuple(outcomes))


def seconds(
    small: Sequence[int], large: Sequence[int], *, tokenizer: str = "t", prefix: int | None = None
) -> np.ndarray:
    matrix = [
        cells("small", [outcome("small", small)]),
        cells("large", [outcome("large", large)], tokenizer=tokenizer),
    ]
    return stage_data(matrix, TIERS, ["nq_open_dev"], TIMES, prefix_tokens=prefix).seconds[0]


FROM_NOTHING = [0.5 + 19, 5 + 190]  # twenty tokens: the prompt, then nineteen passes


@pytest.mark.parametrize(
    ("agreed", "expected"),
    [
        (0, 5 + 190),  # the prompt's pass says at once that the draft is wrong
        (1, 5 + 20 + 180),
        (8, 5 + 20 + 110),  # one block, then the eleven after the token that was right instead
        (9, 5 + 40 + 100),
        (20, 5 + 60),  # three blocks judge all
    ],
)
def test_what_was_drafted_is_reused_up_to_the_first_difference(agreed: int, expected: float):
    small = [*range(agreed), *range(100, 120 - agreed)]
    table = seconds(small, range(20))
    assert table[0].tolist() == pytest.approx(FROM_NOTHING)
    assert table[1, 1] == pytest.approx(expected)
    assert table[1, 0] == table[2, 0] == table[2, 1] == np.inf  # nothing leads back


def test_another_tokenizer_begins_anew():
    table = seconds(range(20), range(20), tokenizer="another")
    assert table[1, 1] == pytest.approx(FROM_NOTHING[1])


def test_after_a_prefix_the_rest_of_the_first_answer_is_saved():
    # Four tokens drafted and right: one block; fifteen passes after the fifth; sixteen saved.
    assert seconds(range(20), range(20), prefix=4)[1, 1] == pytest.approx(5 + 20 + 150 - 16)
    # A shorter answer is finished by then.
    assert seconds(range(3), range(20), prefix=4)[1, 1] == pytest.approx(5 + 20 + 160)


def test_one_token_is_the_prompts_own():
    table = seconds([7], [7])
    assert table[0].tolist() == pytest.approx([0.5, 5.0])
    assert table[1, 1] == pytest.approx(5.0)


def test_items_are_the_prompts_that_all_tiers_answered_greedily():
    small = [outcome("small", range(4), at=at, score=0.0) for at in (3, 1, 2)]
    small += [outcome("small", range(9), at=4, sample=1)]
    large = [outcome("large", range(30), at=at, score=at / 4) for at in (4, 2, 3)]
    matrix = [cells("small", small), cells("large", large)]
    data = stage_data(matrix, TIERS, ["nq_open_dev"], TIMES, prefix_tokens=16)
    assert data.groups == ("p2", "p3") and data.kinds == ("facts", "facts")
    assert data.quality.tolist() == [[0.0, 0.5], [0.0, 0.75]]
    assert (data.stages, data.prefix_tokens) == (TIERS, 16)
    assert data.stage_digests == ("of small", "of large")
    assert data.evidence_names == EVIDENCE_NAMES
    one = large[1]
    expected = evidence_vector(
        one.logprobs, one.entropies, one.margins, finished=True, prefix_tokens=16
    )
    assert data.evidence[0, 1].tolist() == expected.tolist()
    assert data.evidence[0, 1, EVIDENCE_NAMES.index("finished")] == 0.0


def test_matches_of_a_drafter_are_evidence_where_one_is_named():
    flags = np.array([True, False, True, True])
    small = replace(outcome("small", range(4)), matches={"table": flags})
    matrix = [cells("small", [small]), cells("large", [outcome("large", range(4))])]
    place = EVIDENCE_NAMES.index("share_matched")
    drafters = {"small": "table"}
    with_them = stage_data(
        matrix, TIERS, ["nq_open_dev"], TIMES, prefix_tokens=2, drafters=drafters
    )
    assert with_them.evidence[0, :, place].tolist() == [0.5, 0.0]
    assert with_them.evidence[0, :, place + 2].tolist() == [1.0, 0.0]  # whether there were any
    without = stage_data(matrix, TIERS, ["nq_open_dev"], TIMES, prefix_tokens=2)
    assert without.evidence[0, :, place:].tolist() == [[0.0] * 3] * 2


def test_an_answer_that_was_cut_off_is_not_finished():
    long = replace(outcome("small", range(4)), finish=FinishReason.LENGTH)
    matrix = [cells("small", [long]), cells("large", [outcome("large", range(4))])]
    data = stage_data(matrix, TIERS, ["nq_open_dev"], TIMES)
    assert data.evidence[0, :, EVIDENCE_NAMES.index("finished")].tolist() == [0.0, 1.0]


def test_sets_are_joined():
    matrix = [
        cells(tier, [outcome(tier, range(4), at=at)], set_name=name)
        for at, name in enumerate(("nq_open_dev", "gsm8k_test"))
        for tier in TIERS
    ]
    data = stage_data(matrix, TIERS, ["nq_open_dev", "gsm8k_test"], TIMES)
    assert data.kinds == ("facts", "math") and data.prefix_tokens is None


def unscored(tier: str) -> Outcome:
    return Outcome("p0", 0, "n", (1,), FinishReason.LENGTH, {}, counts=outcome(tier, [1]).counts)


def test_what_cannot_be_paired_is_refused():
    small, large = (cells(tier, [outcome(tier, [1])]) for tier in TIERS)
    other_prompt = cells("large", [outcome("large", [1], at=1)])
    no_score = [cells(tier, [unscored(tier)]) for tier in TIERS]
    pair = ["nq_open_dev"]
    with pytest.raises(InvalidRequest, match="no answers of it to gsm8k_test"):
        stage_data([small, large], TIERS, ["gsm8k_test"], TIMES)
    with pytest.raises(InvalidRequest, match="must be one of"):
        stage_data([small, large], TIERS, ["nosuch"], TIMES)
    with pytest.raises(InvalidRequest, match="no prompt that all"):
        stage_data([small, other_prompt], TIERS, pair, TIMES)
    asked_other = cells("large", [replace(outcome("large", [1]), prompt_hash=7)])
    with pytest.raises(InvalidRequest, match="different prompts"):
        stage_data([small, asked_other], TIERS, pair, TIMES)
    with pytest.raises(InvalidRequest, match="no score"):
        stage_data(no_score, TIERS, pair, TIMES)
    with pytest.raises(InvalidRequest, match="not timed"):
        stage_data([small, large], TIERS, pair, StepTimes(tiers={"small": TIMES.of("small")}))
    with pytest.raises(InvalidRequest, match="not matched"):
        stage_data([small, large], TIERS, pair, TIMES, drafters={"small": "table"})


def items(**more: object) -> StageData:
    given = {
        "stages": ("a", "b"),
        "evidence_names": ("e",),
        "evidence": np.zeros((3, 2, 1)),
        "kinds": ("k",) * 3,
        "quality": np.zeros((3, 2)),
        "seconds": np.ones((3, 3, 2)),
        "groups": ("x", "y", "z"),
    }
    return StageData(**{**given, **more})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stages", ("a", "a")),
        ("evidence", np.zeros((3, 2, 2))),
        ("evidence", np.full((3, 2, 1), np.nan)),
        ("quality", np.full((3, 2), 1.5)),
        ("quality", np.full((3, 2), np.nan)),
        ("seconds", np.full((3, 3, 2), np.nan)),
        ("seconds", np.full((3, 3, 2), np.inf)),
        (
            "seconds",
            np.array([[[1.0, 1.0], [np.inf, each], [1.0, 1.0]] for each in (1, 1, np.inf)]),
        ),
        ("groups", ("x",)),
        ("stage_digests", ("d",)),
    ],
)
def test_items_that_cannot_be_are_refused(field: str, value: object):
    with pytest.raises(InvalidRequest, match=field):
        items(**{field: value})


def test_parts_that_speak_of_other_stages_are_not_joined():
    assert len(joined([items(), items()])) == 6
    with pytest.raises(InvalidRequest, match="stages"):
        joined([items(), items(stages=("a", "c"))])


def test_folds_hold_whole_groups_and_never_depend_on_the_order_of_items():
    data = items()
    again = data.take(np.array([2, 0, 1]))
    assert data.folds(3)[[2, 0, 1]].tolist() == again.folds(3).tolist()
    assert set(items(groups=("x", "y", "y")).folds(2)[1:].tolist()) in ({0}, {1})
