"""Runs every method over every set's items, and keeps what came of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tiercel.engines.language_model import LanguageModel
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.evaluation.fusion.methods import Fused, Method, Question
from tiercel.evaluation.fusion.reading import Reading, run
from tiercel.evaluation.fusion.results import Result, ResultFile
from tiercel.evaluation.items import Item
from tiercel.evaluation.scoring import SCORERS
from tiercel.evaluation.sets import EvaluationSet
from tiercel.tokenizer import Tokenizer


@dataclass(frozen=True)
class Pair:
    """Two models that read the same ids."""

    draft: LanguageModel
    target: LanguageModel
    tokenizer: Tokenizer

    @classmethod
    def of(
        cls, draft: tuple[LanguageModel, Tokenizer], target: tuple[LanguageModel, Tokenizer]
    ) -> "Pair":
        """Return a pair; raises TokenizerMismatch for models of different vocabularies."""
        if draft[1].fingerprint != target[1].fingerprint:
            raise TokenizerMismatch("the two models have different tokenizers")
        return cls(draft[0], target[0], target[1])


class Experiment:
    """One pair of models, and the file that takes its results."""

    def __init__(self, pair: Pair, methods: Mapping[str, Method], file: ResultFile) -> None:
        """`methods` by the name that results have."""
        self._pair, self._methods, self._file = pair, methods, file

    def run(
        self,
        each: EvaluationSet,
        items: Sequence[Item],
        batch: int,
        progress: Callable[[str], None] = lambda method: None,
    ) -> None:
        """Answer the items that have no result yet, item after item, `batch` works at a time.

        Raises InvalidRequest for a set whose answers are no text.
        """
        if each.scorer not in SCORERS:
            raise InvalidRequest("set", each.name, "its answers are letters and no text")
        for (item, method), fused in run(self._works(each, items), batch):
            self._file.add(self._result(each, item, method, fused))
            progress(method)

    def num_left(self, each: EvaluationSet, items: Sequence[Item]) -> int:
        """Return how many answers have no result yet."""
        return sum(1 for _ in self._missing(each, items))

    def _works(
        self, each: EvaluationSet, items: Sequence[Item]
    ) -> Iterator[tuple[tuple[Item, str], Reading[Fused]]]:
        draft, target, tokenizer = self._pair.draft, self._pair.target, self._pair.tokenizer
        for item, name in self._missing(each, items):
            prompt_ids = tuple(tokenizer.render(each.messages(item)))
            question = Question(prompt_ids, each.max_new_tokens, tokenizer.eos_ids)
            yield (item, name), self._methods[name](question, draft, target)

    def _missing(self, each: EvaluationSet, items: Sequence[Item]) -> Iterator[tuple[Item, str]]:
        known = self._file.cells
        for item in items:
            for name in self._methods:
                if (each.name, name, item.id) not in known:
                    yield item, name

    def _result(self, each: EvaluationSet, item: Item, method: str, fused: Fused) -> Result:
        text = self._pair.tokenizer.decode(fused.token_ids, skip_special=True)
        scores = SCORERS[each.scorer](text, item)
        return Result(
            set_name=each.name,
            method=method,
            item_id=item.id,
            score=next(iter(scores.values())),
            num_tokens=len(fused.token_ids),
            num_draft_passes=fused.num_draft_passes,
            num_target_passes=fused.num_target_passes,
            num_replaced=fused.num_replaced,
            num_dropped=fused.num_dropped,
            seconds=round(fused.seconds, 4),
        )
