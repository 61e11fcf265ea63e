"""The outcome matrix becomes examples: means of samples, gaps that stay gaps, evidence."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import parse_column
from tiercel.evaluation.evidence import halves
from tiercel.evaluation.matrix import CellsManifest, CellStore, TierIdentity, read_matrix
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.sets import SETS
from tiercel.prediction.quality.featuriser import features
from tiercel.prediction.quality.outcome_examples import read_examples
from tiercel.prediction.quality.recorded_examples import read_recorded
from tiercel.prediction.quality.signals import NAMES
from tiercel.stopping.evidence import EVIDENCE_NAMES
from tiercel.types import FinishReason

TIER = TierIdentity(
    model="m", engine="native", dtype="int4", weights_digest="abc", tokenizer_fingerprint="f"
)
_PAIR = {"mixtral-8x7b-instruct": True, "gpt-4-1106-preview": False}


def rows(set_name: str, count: int) -> list[dict[str, object]]:
    """Return prompts that are no near duplicates of each other; all but one know the pair."""
    letter = "\nA. yes\nB. no\nAnswer:" if SETS[set_name].asks_letter else ""
    random = np.random.default_rng(len(set_name))
    words = ["".join(random.choice(list("abcdeiknorst"), 5)) for _ in range(10 * count)]
    return [
        {
            "id": f"{set_name}-{at}",
            "prompt": f"How many {' '.join(words[10 * at : 10 * at + 10])}?{letter}",
            "reference": "1",
            "meta": {"routellm_correct": _PAIR} if at else {},
        }
        for at in range(count)
    ]


def add(root, data, set_name: str, column: str, scores: dict[tuple[int, int], float]) -> None:
    """Add answers to a matrix: scores by number of the prompt and of the sample."""
    read = SETS[set_name].read(data)
    by_id = {item.id: item for item in read.items}
    manifest = CellsManifest(
        column=column,
        set_name=set_name,
        data_digest=read.digest,
        set_digest=SETS[set_name].digest,
        tiers={column.partition(";")[0]: TIER},
    )
    letters = SETS[set_name].asks_letter
    numbers = halves([-0.5] * (1 if letters else 20))
    outcomes = [
        Outcome(
            prompt_id=f"{set_name}-{at}",
            prompt_hash=by_id[f"{set_name}-{at}"].prompt_hash,
            numerics_id="n",
            token_ids=tuple(range(len(numbers))),
            finish=FinishReason.STOP_TOKEN,
            scores={"exact": score},
            sample=sample,
            logprobs=numbers,
            entropies=numbers,
            margins=numbers,
            choice_logprobs=halves([-0.5, -1.0] if letters else []),
        )
        for (at, sample), score in scores.items()
    ]
    CellStore(root, parse_column(column).folder_name, manifest).add(outcomes)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name in ("gsm8k_test", "mmlu_test"):
        lines = [json.dumps(row) for row in rows(name, 60)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def outcomes(data, tmp_path_factory):
    root = tmp_path_factory.mktemp("outcomes")
    add(root, data, "gsm8k_test", "small", {(at, 0): at % 2 for at in range(60)})
    add(root, data, "gsm8k_test", "large", {(at, 0): 1.0 for at in range(30)})
    samples = {(at, sample): float(sample == 0) for at in range(5) for sample in range(4)}
    add(root, data, "gsm8k_test", "small; temperature=0.7", samples)
    add(root, data, "mmlu_test", "small", {(at, 0): 0.0 for at in range(60)})
    return root


def test_every_prompt_and_temperature_is_a_row(outcomes, data):
    measured = read_examples(read_matrix(outcomes), data)
    examples = measured.examples
    assert examples.plan_names == ("large", "small")
    assert len(measured.asked) == 60 + 5 + 60
    assert measured.greedy.sum() == 120
    assert set(measured.tiers) == {"small", "large"}
    assert set(read_examples(read_matrix(outcomes), data, plans=["small"]).tiers) == {"small"}
    warm = ~measured.greedy
    temperatures = examples.features[:, NAMES.index("temperature") - len(NAMES)]
    assert set(temperatures[warm].tolist()) == {np.float32(0.7)}
    assert set(temperatures[~warm].tolist()) == {0.0}
    assert (examples.scores[warm, 1] == 0.25).all()
    assert np.isnan(examples.scores[warm, 0]).all()
    assert np.nansum(examples.scores[~warm], axis=0).tolist() == [30.0, 30.0]


def test_a_prompts_rows_are_of_one_group_and_asked_as_the_set_asks(outcomes, data):
    measured = read_examples(read_matrix(outcomes), data, plans=["small"])
    places = [at for at, one in enumerate(measured.asked) if one.prompt_id == "gsm8k_test-3"]
    assert len(places) == 2
    assert len({measured.examples.groups[at] for at in places}) == 1
    item = next(one for one in SETS["gsm8k_test"].read(data).items if one.id == "gsm8k_test-3")
    wanted = features(tuple(SETS["gsm8k_test"].messages(item)), temperature=0.0)
    assert (measured.examples.features[places[0]] == wanted).all()


def test_letters_have_neither_lengths_nor_evidence(outcomes, data):
    examples = read_examples(read_matrix(outcomes), data, plans=["small"]).examples
    letters = np.array(examples.kinds) == "mmlu_test"
    assert np.isnan(examples.num_tokens[letters]).all()
    assert np.isnan(examples.evidence[letters]).all()
    assert (examples.num_tokens[~letters] == 20).all()
    lengths = examples.evidence[~letters, 0, EVIDENCE_NAMES.index("log2_length")]
    assert set(np.exp2(lengths).round().astype(int).tolist()) == {9, 17, 21}  # one more each


def test_acceptance_is_that_of_drafters_held_against_the_answers(outcomes, data):
    right, sure = np.arange(20) % 4 == 0, np.where(np.arange(20) < 16, 0.5, 0.0)
    held = {"matches": {"draft": right & (sure > 0)}, "match_probs": {"draft": halves(sure)}}
    cells = [
        replace(one, outcomes=tuple(replace(answer, **held) for answer in one.outcomes))
        if (one.manifest.column, one.manifest.set_name) == ("large", "gsm8k_test")
        else one
        for one in read_matrix(outcomes)
    ]
    examples = read_examples(cells, data).examples
    assert examples.pair_names == ("draft under large",)
    known = np.isfinite(examples.acceptance[:, 0])
    assert (known == np.isfinite(examples.scores[:, 0])).all()
    assert (examples.acceptance[known] == 0.25).all(), "of the places where it had a choice"
    assert read_examples(read_matrix(outcomes), data).examples.pair_names == ()


def test_other_data_and_unknown_plans_are_refused(outcomes, data, tmp_path):
    with pytest.raises(InvalidRequest, match="no answer of these plans"):
        read_examples(read_matrix(outcomes), data, plans=["huge"])
    for name in ("gsm8k_test", "mmlu_test"):
        (tmp_path / f"{name}.jsonl").write_text((data / f"{name}.jsonl").read_text() + "\n")
    with pytest.raises(InvalidRequest, match="not the file that the matrix was made of"):
        read_examples(read_matrix(outcomes), tmp_path)


def test_the_recorded_pair_has_its_labels(data):
    measured = read_recorded(data)
    assert measured.examples.plan_names == ("mixtral-8x7b-instruct", "gpt-4-1106-preview")
    assert measured.examples.scores.tolist() == [[1.0, 0.0]] * 118
    assert measured.greedy.all()
