"""Lessons are what the target knew before each token, kept while recording or made later."""

import shutil

import numpy as np
import pytest

from tests.distillation.conftest import MAX_NEW_TOKENS, prompts_of, record
from tiercel.distillation.lessons import Teacher
from tiercel.distillation.prompts import Prompt
from tiercel.distillation.recording import prompt_ids
from tiercel.engines import load
from tiercel.engines.language_model import Step
from tiercel.errors import InvalidRequest


@pytest.fixture
def recorded(target, tmp_path):
    prompts = prompts_of(5)
    record(target, tmp_path, prompts, num_tokens=6 * MAX_NEW_TOKENS)
    return tmp_path, prompts


def test_those_kept_while_recording_are_those_of_a_pass_over_the_tokens(target, recorded):
    folder, prompts = recorded
    kept = Teacher(*target, prompts).lessons(folder)
    shutil.rmtree(next(folder.glob("lessons-*")))
    made = Teacher(*target, prompts).lessons(folder)
    assert [one.answer for one in kept] == [one.answer for one in made]
    for one, other in zip(kept, made, strict=True):
        assert len(one.thoughts) == len(one.answer.token_ids)
        for field in ("hidden", "top_ids", "top_probs"):
            ours, theirs = getattr(one.thoughts, field), getattr(other.thoughts, field)
            assert ours.tobytes() == theirs.tobytes()


def test_they_are_the_targets_state_and_choice_before_each_token(target, recorded):
    folder, prompts = recorded
    model, tokenizer = target
    lesson = next(
        one for one in Teacher(*target, prompts).lessons(folder) if not one.answer.temperature
    )
    known, answer = lesson.thoughts, lesson.answer
    assert known.top_ids[:, 0].tolist() == list(answer.token_ids)
    tokens = [*prompt_ids(tokenizer, prompts[answer.row]), *answer.token_ids[:3]]
    hidden = np.empty((1, model.description.hidden_size), np.float32)
    (logits,) = model.extend([Step(model.open(), tokens, 1, hidden)])
    np.testing.assert_array_equal(known.hidden[3], hidden[0].astype(np.float16))
    probs = np.exp(logits[0] - logits[0].max())
    probs /= probs.sum()
    np.testing.assert_allclose(known.top_probs[3], np.sort(probs)[::-1][:8], rtol=1e-2)
    assert lesson.kind == prompts[answer.row].kind


def test_whole_prompts_are_held_out(target, tmp_path):
    prompts = prompts_of(40)
    record(target, tmp_path, prompts, num_tokens=90 * MAX_NEW_TOKENS, batch=16)
    lessons = Teacher(*target, prompts).lessons(tmp_path)
    held_out = {one.answer.row for one in lessons if one.is_held_out}
    assert 0 < len(held_out) < 10
    assert not held_out & {one.answer.row for one in lessons if not one.is_held_out}


def test_a_prompt_that_changed_is_refused(target, recorded):
    folder, prompts = recorded
    shutil.rmtree(next(folder.glob("lessons-*")))
    changed = [Prompt(one.data_set, one.row, one.kind, one.text + "!") for one in prompts]
    with pytest.raises(InvalidRequest, match="another prompt"):
        Teacher(*target, changed).lessons(folder)
    with pytest.raises(InvalidRequest, match="is not there"):
        Teacher(*target, []).lessons(folder)


def test_a_target_without_hidden_states_teaches_nothing():
    with pytest.raises(InvalidRequest, match="no hidden states"):
        Teacher(*load("simulated", "any"), [])
