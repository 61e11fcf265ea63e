"""`tiercel train policies`: an outcome matrix in, policies that learn from scores out."""

import json

from tests.prediction.quality.test_outcome_examples import add, rows
from tests.routing.situations import chosen, situation
from tiercel.evaluation.sets import SETS
from tiercel.prediction.quality.featuriser import definition_hash, features
from tiercel.routing.policy import Forecast
from tiercel.routing.registry import PolicySettings, make


def test_policies_that_learn_from_scores_are_fitted_on_a_matrix(tiercel, tmp_path):
    data, outcomes, out = (tmp_path / name for name in ("data", "outcomes", "policies"))
    data.mkdir()
    for name in ("gsm8k_test", "mmlu_test"):
        (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows(name, 60))))
    # `small` does one set, `large` the other; votes are no answer of a plan.
    for column, right in (("small", "gsm8k_test"), ("large", "mmlu_test")):
        for name in ("gsm8k_test", "mmlu_test"):
            scores = {(at, 0): float(name == right) for at in range(60)}
            add(outcomes, data, name, column, scores)
    places = ("--data", str(data), "--outcomes", str(outcomes), "--out", str(out))
    result = tiercel("train", "policies", *places, "--price", "large=0.0001")
    assert result.exit_code == 0, result.stderr
    assert "reward_argmax: 120 prompts" in result.stdout
    settings = PolicySettings(fitted=out, features_definition=definition_hash())
    plans = (Forecast("small", 1.0), Forecast("large", 2.0))
    for name in ("reward_argmax", "knn"):
        policy = make(name, settings)
        for set_name, plan in (("gsm8k_test", "small"), ("mmlu_test", "large")):
            one = SETS[set_name]
            prompt = tuple(one.messages(one.read(data).items[0]))
            seen = situation(*plans, features=features(prompt, temperature=0.0))
            assert chosen(policy, seen) == plan
    wrong = tiercel("train", "policies", *places, "--price", "large")
    assert wrong.exit_code == 2
    assert "is not COLUMN=PRICE" in wrong.stderr
