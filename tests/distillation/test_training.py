"""A drafter that is trained drafts better, resumes to the bit, and serves what it learned."""

import numpy as np
import pytest

from tests.distillation.conftest import MAX_NEW_TOKENS, prompts_of, record
from tiercel.distillation.drafting import NUM_PLACES, measured
from tiercel.distillation.lessons import Teacher

torch = pytest.importorskip("torch", reason="needs the extra `torch`")

from tests.distillation.drafters import exported, tiny_weights, training  # noqa: E402
from tiercel.distillation.torch_batches import batch_of, batches  # noqa: E402
from tiercel.distillation.torch_training import Schedule, held_out_acceptance  # noqa: E402


@pytest.fixture(scope="module")
def lessons(target, tmp_path_factory):
    """What the tiny target knew while it answered; its answers are all different."""
    folder, prompts = tmp_path_factory.mktemp("recording"), prompts_of(48)
    record(target, folder, prompts, num_tokens=60 * MAX_NEW_TOKENS, batch=16)
    return Teacher(*target, prompts).lessons(folder)


@pytest.fixture(scope="module")
def target_weights(tmp_path_factory):
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(params=[True, False], ids=["hidden", "tokens-only"])
def uses_hidden(request):
    return request.param


def acceptance(trained, lessons):
    return held_out_acceptance(trained.drafter, trained.ids, lessons)["all"].acceptance


def test_it_learns(lessons, target_weights, tmp_path, uses_hidden):
    schedule = Schedule(num_steps=80, answers_per_step=8, learning_rate=3e-3)
    trained = training(lessons, target_weights, tmp_path, schedule, uses_hidden=uses_hidden)
    before = acceptance(trained, lessons)
    losses = []
    trained.run(lessons, progress=lambda step, loss: losses.append(loss))
    after = acceptance(trained, lessons)
    assert len(losses) == 80
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    assert after[0] > before[0] + 0.2


def test_the_closed_form_begins_above_chance(lessons, target_weights, tmp_path):
    begun = training(lessons, target_weights, tmp_path, Schedule(num_steps=1))
    assert acceptance(begun, lessons)[0] > 0.1  # chance is under 0.01
    scrambled = {name: one.clone() for name, one in begun.drafter.weights.items()}
    scrambled["fc.weight"] = scrambled["fc.weight"].flip(0)
    begun.drafter.weights = scrambled
    assert acceptance(begun, lessons)[0] < 0.05


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(lessons, target_weights, tmp_path):
    def interrupted(step, loss):
        if step == 5:
            cut.save()
            raise KeyboardInterrupt

    schedule = Schedule(num_steps=9, answers_per_step=16)
    whole = training(lessons, target_weights, tmp_path / "whole", schedule)
    whole.run(lessons, progress=lambda step, loss: None)
    cut = training(lessons, target_weights, tmp_path / "cut", schedule)
    with pytest.raises(KeyboardInterrupt):
        cut.run(lessons, progress=interrupted)
    resumed = training(lessons, target_weights, tmp_path / "cut", schedule)
    assert resumed.num_steps == 5
    resumed.run(lessons, progress=lambda step, loss: None)
    for name, values in whole.weights().items():
        np.testing.assert_array_equal(values, resumed.weights()[name], err_msg=name)


def test_batches_hold_every_answer_once(lessons):
    groups = list(batches(lessons, 8, seed=1))
    jobs = [lesson.answer.job for group in groups for lesson in group]
    assert sorted(jobs) == sorted(one.answer.job for one in lessons if len(one.thoughts) > 1)
    assert [len(group) for group in groups] != [len(group) for group in batches(lessons, 7, seed=1)]


@pytest.mark.parametrize(("dtype", "least"), [("fp32", 0.999999), ("int8", 0.95)])
def test_the_exported_drafter_drafts_as_it_was_trained_to(
    lessons, target, target_weights, tmp_path, uses_hidden, dtype, least
):
    """Each step of drafting, from any anchor, gives the logits that training saw there."""
    schedule = Schedule(num_steps=10, answers_per_step=8)
    trained = training(lessons, target_weights, tmp_path, schedule, uses_hidden=uses_hidden)
    trained.run(lessons, progress=lambda step, loss: None)
    model = exported(trained, target[1], tmp_path / "drafter", dtype)
    lesson = max(lessons, key=lambda one: len(one.thoughts))
    batch = batch_of([lesson], trained.ids)
    with torch.inference_mode():
        hidden = batch.hidden if uses_hidden else None
        states = trained.drafter.states(batch.inputs, hidden, NUM_PLACES)
        expected = [trained.drafter.logits(state)[0].numpy() for state in states]
    known = lesson.thoughts.hidden.astype(np.float32)
    tokens = list(lesson.answer.token_ids)
    for anchor in (0, 7, len(tokens) - NUM_PLACES):
        cache = model.open()
        rows = known[: anchor + 1] if uses_hidden else None
        state, logits = model.extend(cache, tokens[: anchor + 1], rows)
        assert np.corrcoef(logits, expected[0][anchor])[0, 1] > least
        for step in range(1, NUM_PLACES):
            token = tokens[anchor + step]
            state, logits = model.extend(cache, [token], state[None] if uses_hidden else None)
            assert np.corrcoef(logits, expected[step][anchor])[0, 1] > least
        cache.close()


def test_the_exported_drafter_meets_as_many_choices_as_in_training(
    lessons, target, target_weights, tmp_path, uses_hidden
):
    schedule = Schedule(num_steps=30, answers_per_step=8, learning_rate=3e-3)
    trained = training(lessons, target_weights, tmp_path, schedule, uses_hidden=uses_hidden)
    trained.run(lessons, progress=lambda step, loss: None)
    expected = held_out_acceptance(trained.drafter, trained.ids, lessons)
    found = measured(exported(trained, target[1], tmp_path / "drafter", "fp32"), lessons)
    assert found.by_kind.keys() == expected.keys() == {"all", "chat", "code"}
    for kind, figures in expected.items():
        assert found.by_kind[kind].num_tokens == figures.num_tokens
        assert found.by_kind[kind].acceptance == pytest.approx(figures.acceptance, abs=0.02)
    assert found.token_s > 0


def test_the_rate_rises_and_falls():
    schedule = Schedule(num_steps=100)
    rates = [schedule.rate(step) for step in range(100)]
    assert 0.8 < max(rates) <= 1.0
    assert rates[0] < 0.1 > rates[-1]
