"""From a prompt to a request of a tier, and from what it said to a scored outcome."""

import hashlib

from tiercel.errors import InvalidRequest
from tiercel.evaluation.column import Column
from tiercel.evaluation.evidence import halves
from tiercel.evaluation.generation import Generated, Request
from tiercel.evaluation.items import Item
from tiercel.evaluation.outcomes import Outcome
from tiercel.evaluation.scoring import SCORERS
from tiercel.evaluation.scoring.letters import letters_of, score_letter
from tiercel.evaluation.sets import EvaluationSet
from tiercel.tokenizer import Tokenizer
from tiercel.types import SamplingParams


def request_of(
    each: EvaluationSet, item: Item, column: Column, sample: int, tokenizer: Tokenizer
) -> Request:
    """Return what to ask of a tier; raises InvalidRequest if a letter is no token of its own."""
    params = SamplingParams()
    if column.temperature:
        params = SamplingParams(column.temperature, seed=sample_seed(item, sample))
    prompt_ids = tuple(tokenizer.render(each.messages(item)))
    if each.asks_letter:
        return Request(prompt_ids, params, choices=_letter_ids(item, tokenizer))
    return Request(prompt_ids, params, each.max_new_tokens)


def outcome_of(
    each: EvaluationSet,
    item: Item,
    request: Request,
    said: Generated,
    *,
    sample: int,
    numerics_id: str,
    tokenizer: Tokenizer,
) -> Outcome:
    """Return the scored cell of an answer."""
    if each.asks_letter:
        scores = score_letter(said.choice_logprobs, item)
    else:
        text = tokenizer.decode(said.token_ids, skip_special=True)
        scores = SCORERS[each.scorer](text, item)
    return Outcome(
        prompt_id=item.id,
        prompt_hash=item.prompt_hash,
        numerics_id=numerics_id,
        token_ids=tuple(said.token_ids),
        finish=said.finish,
        scores=scores,
        sample=sample,
        seed=request.params.seed,
        logprobs=halves(said.evidence.logprobs),
        entropies=halves(said.evidence.entropies),
        margins=halves(said.evidence.margins),
        choice_logprobs=halves(said.choice_logprobs),
        counts=said.counts,
        seconds=said.seconds,
    )


def sample_seed(item: Item, sample: int) -> int:
    """Return the seed of a prompt's sample, the same for every column, so that draws are paired."""
    digest = hashlib.sha256(f"{item.set_name} {item.id} {sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _letter_ids(item: Item, tokenizer: Tokenizer) -> tuple[int, ...]:
    ids = [tokenizer.encode(letter) for letter in letters_of(item)]
    if any(len(each) != 1 for each in ids):
        raise InvalidRequest("model", item.set_name, "its tokenizer has no token for each letter")
    return tuple(each[0] for each in ids)
