"""Samples of a task as token ids: a prompt in the model's chat template, and its right answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tiercel.errors import InvalidRequest
from tiercel.evaluation.items import Item
from tiercel.specialisation.tasks import Task
from tiercel.tokenizer import Tokenizer
from tiercel.types import Message


@dataclass(frozen=True)
class Sample:
    """One prompt and its answer, which ends with the end of the turn."""

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.answer_ids)


def sample_of(tokenizer: Tokenizer, asked: Sequence[Message], answer: str) -> Sample:
    """Return a sample; raises InvalidRequest where the chat template does not go on a prompt."""
    before = tokenizer.render(asked)
    answered = [*asked, Message("assistant", answer)]
    whole = tokenizer.render(answered, add_generation_prompt=False)
    after = whole[len(before) :]
    end = next((at for at, id in enumerate(after) if id in tokenizer.eos_ids), None)
    if whole[: len(before)] != before or end is None:
        raise InvalidRequest("model", answer, "its template writes an answer unlike it asks for it")
    return Sample(tuple(before), tuple(after[: end + 1]))


def samples_of(
    task: Task, items: Sequence[Item], tokenizer: Tokenizer, max_tokens: int
) -> list[Sample]:
    """Return the items' samples of up to `max_tokens` tokens; raises InvalidRequest if none is."""
    every = [
        sample_of(tokenizer, task.asked_as.messages(item), task.answered(item)) for item in items
    ]
    kept = [sample for sample in every if len(sample) <= max_tokens]
    if not kept:
        raise InvalidRequest("max_tokens", max_tokens, f"none of {len(every)} samples is as short")
    return kept


def batches(samples: Sequence[Sample], size: int, seed: int) -> Iterator[list[Sample]]:
    """Yield batches for ever, each of samples of about one length; every epoch has its own order.

    A sequence of batches is a function of its arguments alone, so that a run can go on in it.
    """
    for epoch in range(1 << 31):
        random = Random(f"{seed} {epoch}")
        mixed = random.sample(samples, len(samples))
        groups = [mixed[at : at + 8 * size] for at in range(0, len(mixed), 8 * size)]
        of_one_length = [one for group in groups for one in _cut(sorted(group, key=len), size)]
        random.shuffle(of_one_length)
        yield from of_one_length


def _cut(samples: list[Sample], size: int) -> list[list[Sample]]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]
