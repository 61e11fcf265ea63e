"""A parent's sequence in a drafter's tokens: the prompt, the stops, what was rejected."""

import pytest

from tests.text.vocabularies import drafter, parent, special
from tiercel.draft_stream import Judgement, TokenSequence
from tiercel.errors import Unsupported
from tiercel.speculation.bridged_sequence import BridgedSequence, BridgeEnds, foreign_prompt
from tiercel.speculation.foreign import Foreign
from tiercel.speculation.link import Draft
from tiercel.speculation.request import Request
from tiercel.types import Evidence, Message, SamplingParams

PROMPT = "in the end"


def request(**fields) -> Request:
    known = {
        "request_id": "request",
        "parent": "parent",
        "tokenizer_fingerprint": parent().fingerprint,
        "vocab_size": parent().vocab_size,
        "num_prompt_tokens": len(parent().encode(PROMPT)),
        "params": SamplingParams(),
        "stop_token_ids": frozenset(),
        "max_new_tokens": 20,
        "deadline": 0.0,
    }
    return Request(**known | fields)


def bridged(sequence: TokenSequence, **fields) -> BridgedSequence:
    ends = BridgeEnds(
        parent(), Foreign(drafter(), drafter().vocab_size), tuple(drafter().encode(PROMPT))
    )
    return BridgedSequence(ends, request(**fields), sequence)


def test_a_prompt_is_spelled_anew_and_marks_stay_marks() -> None:
    literal = parent().encode("</s><|file|>")
    ids = [special(parent(), "<|file|>"), *literal, special(parent(), "<tool>")]
    assert list(foreign_prompt(parent(), drafter(), ids, ())) == [
        special(drafter(), "<|file|>"),
        *drafter().encode("</s><|file|>"),
        *drafter().encode("<tool>"),
    ]


def test_a_conversation_that_the_drafter_has_no_template_for_is_spelled_anew() -> None:
    ids = parent().encode(PROMPT)
    messages = (Message("user", PROMPT),)
    assert list(foreign_prompt(parent(), drafter(), ids, messages)) == drafter().encode(PROMPT)


def test_a_prompt_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(Unsupported, match="prompt"):
        foreign_prompt(parent(), drafter(), parent().encode("\x00"), ())


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (["<|im_end|>"], ["</s>"]),
        (["<|file|>"], ["<|file|>"]),
        (["<tool>"], []),
        ([], []),
    ],
)
def test_stops_are_those_of_the_same_text_or_role(stops: list[str], expected: list[str]) -> None:
    stop_ids = frozenset(special(parent(), text) for text in stops)
    ordinary = frozenset(parent().encode("the"))
    followed = bridged(TokenSequence(parent().encode(PROMPT)), stop_token_ids=stop_ids | ordinary)
    assert followed.request.stop_token_ids == {special(drafter(), text) for text in expected}


def test_a_sequence_is_followed_and_judged_in_the_parents_tokens() -> None:
    sequence = TokenSequence(parent().encode(PROMPT))
    followed = bridged(sequence)
    before, run = len(followed.shadow), drafter().encode(", there the end")
    draft = followed.translated(Draft(tuple(run), ("drafter",) * len(run)), most=99)
    assert parent().decode(draft.token_ids) == ", there the end"
    [other] = parent().encode("1")
    assert other != draft.token_ids[2]
    sequence.append([*draft.token_ids[:2], other])
    assert not followed.is_synced
    synced = followed.sync(run)
    assert followed.is_synced and synced.keep_length == before
    assert synced.judgement == Judgement(len(draft.token_ids), 2, 1)
    text = parent().decode(sequence.tokens(len(parent().encode(PROMPT))))
    assert drafter().decode(followed.shadow.tokens(before)) == text


@pytest.mark.parametrize("evidence", [Evidence.NONE, Evidence.DISTRIBUTIONS])
def test_a_run_that_was_drawn_is_void_from_where_it_was_rejected(evidence: Evidence) -> None:
    """Though the text goes on just so: a rule that throws coins has looked at what follows."""
    sequence = TokenSequence(parent().encode(PROMPT))
    followed = bridged(sequence, evidence=evidence)
    run = drafter().encode(", there the end")
    draft = followed.translated(Draft(tuple(run), ("drafter",) * len(run)), most=99)
    before, length = len(sequence), len(followed.shadow)
    sequence.append(draft.token_ids[:3])
    synced = followed.sync(run, rejected_from=before + 1)
    assert synced.judgement == Judgement(len(draft.token_ids), 1, 1)
    if evidence is Evidence.DISTRIBUTIONS:
        kept = drafter().decode(run[: synced.rejected_from - length])
        assert parent().decode(draft.token_ids[:1]).startswith(kept)
    else:
        assert synced.rejected_from is None


def test_what_an_answer_may_still_take_is_no_less_in_the_drafters_tokens() -> None:
    followed = bridged(TokenSequence(parent().encode(PROMPT)))
    assert followed.request.max_new_tokens >= 20
    assert followed.request.tokenizer_fingerprint == drafter().fingerprint
    assert followed.request.vocab_size == drafter().vocab_size
