"""The evaluation sets: how each is asked, how long an answer may be, what scores it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from tiercel.errors import InvalidRequest
from tiercel.evaluation.items import Item, Items, read_items
from tiercel.types import Message

LETTER, UNSCORED = "letter", "none"
_LONGEST_PROMPT = 6_000  # characters, some 1,500 tokens
# A change to how answers are scored or asked for that is seen nowhere else.
_VERSION = 1


@dataclass(frozen=True)
class EvaluationSet:
    """One data file and what is done with it.

    `num_prompts` are collected unless the pilot cuts the set, and of these `num_sampled` are also
    answered several times at a temperature.
    """

    name: str
    kind: str
    scorer: str
    instruction: str  # {prompt} stands for the item's own text
    max_new_tokens: int
    num_prompts: int
    num_sampled: int = 0
    max_prompt_characters: int = _LONGEST_PROMPT

    def read(self, folder: Path) -> Items:
        """Return the set's prompts from its file in `folder`; raises InvalidRequest."""
        path = folder / f"{self.name}.jsonl"
        return read_items(path, self.name, max_prompt_characters=self.max_prompt_characters)

    def messages(self, item: Item) -> list[Message]:
        """Return the conversation that asks an item."""
        return [Message("user", self.instruction.replace("{prompt}", item.prompt))]

    @property
    def asks_letter(self) -> bool:
        """Whether answers are one letter's log-probability, and no text."""
        return self.scorer == LETTER

    @property
    def digest(self) -> str:
        """The hex sha256 of all that an answer and its score depend on, the data aside."""
        what = [_VERSION, self.scorer, self.instruction, self.max_new_tokens]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


_LETTER = "{prompt}"
_SHORT = "Answer the question with a few words only, without an explanation.\n\nQuestion: {prompt}"
_SENTENCE = "Answer the question in one short sentence.\n\nQuestion: {prompt}"
# Asked for without "short", the Qwen models reach the limit before they come to the result.
_NUMBER = (
    "{prompt}\n\nThink step by step, in short lines. "
    'The last line is "The answer is" and the number.'
)
_COMPLETE = (
    "Complete this Python function. "
    "Reply with the whole function in one code block and nothing else.\n\n```python\n{prompt}```"
)
_WRITE = "{prompt}\n\nReply with the Python code in one code block and nothing else."
_STORY = "{prompt}\n\nWrite at most 200 words."

_ALL = (
    EvaluationSet("mmlu_test", "knowledge", LETTER, _LETTER, 1, 900),
    EvaluationSet("openbookqa_test", "reasoning", LETTER, _LETTER, 1, 300),
    EvaluationSet("commonsenseqa_val", "reasoning", LETTER, _LETTER, 1, 450),
    EvaluationSet("truthfulqa_mc", "facts", LETTER, _LETTER, 1, 250),
    EvaluationSet("nq_open_dev", "facts", "answer_set", _SHORT, 32, 300, 40),
    EvaluationSet("nq_efficientqa_dev", "facts", "answer_set", _SHORT, 32, 150),
    EvaluationSet("truthfulqa_gen", "facts", "truthfulness", _SENTENCE, 48, 250, 30),
    EvaluationSet("gsm8k_test", "math", "number", _NUMBER, 384, 300, 80),
    EvaluationSet("humaneval", "code", "unit_tests", _COMPLETE, 384, 100, 20),
    EvaluationSet("mbpp_sanitized", "code", "unit_tests", _WRITE, 256, 100, 30),
    EvaluationSet("xsum_sample", "summaries", "summary", "{prompt}", 128, 60),
    EvaluationSet("cnn_dailymail", "summaries", "summary", "{prompt}", 128, 40),
    EvaluationSet("writingprompts", "creative", "none", _STORY, 256, 60),
)
SETS = {each.name: each for each in _ALL}
"""By name, the cheap ones first."""


def named(names: list[str] | None) -> list[EvaluationSet]:
    """Return the sets of these names, or all; raises InvalidRequest for one that there is not."""
    for name in names or []:
        if name not in SETS:
            raise InvalidRequest("set", name, f"must be one of {', '.join(SETS)}")
    return [each for each in _ALL if not names or each.name in names]
