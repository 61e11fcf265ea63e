"""Shapes of drafts on answers whose accepted tokens can be counted by hand."""

from collections.abc import Sequence

from bench.draft_replay import Recorded, Tally
from bench.trees import SHAPES, Drafts, replay
from tiercel.engines.guesses import Guess

PROMPT, ANSWER = [1, 2], tuple(range(10, 19))


class Knowing:
    """Guesses a text, wrongly at some places; goes on with it whatever was drafted before."""

    name = "knowing"

    def __init__(self, confidence: float, wrong: Sequence[int]) -> None:
        self._text = [-1 if place in wrong else token for place, token in enumerate(ANSWER)]
        self._confidence, self._tokens = confidence, 0

    def append(self, tokens: Sequence[int]) -> None:
        self._tokens += len(tokens)

    def truncate(self, length: int) -> None:
        self._tokens = length

    def guess(self) -> Guess | None:
        place = self._tokens - len(PROMPT)
        if place >= len(self._text):
            return None
        return Guess(self._text[place], self._confidence)


def found(shape: str, *, max_tokens: int = 8) -> Tally:
    """One source is wrong at the sixth token, the other, less sure, at the third."""
    drafts = Drafts([Knowing(0.9, [5]), Knowing(0.6, [2])], max_tokens, 0.01)
    return replay(Recorded("chat", PROMPT, ANSWER), drafts, SHAPES[shape])


def test_a_path_ends_where_its_source_is_wrong():
    assert found("first source", max_tokens=4).widths == {5: 1, 4: 1}
    assert found("second source", max_tokens=4).widths == {5: 2, 2: 1}
    assert found("first source").tokens_per_pass == 8 / 2


def test_paths_that_are_merged_share_their_rows():
    tally = found("two paths merged", max_tokens=3)
    # The paths part at the third token; then at once, at the sixth.
    assert tally.widths == {6: 1, 7: 1}
    assert tally.num_tokens == 8
    assert tally.rows_per_pass == 6.5


def test_a_tree_has_the_right_branch_where_a_path_is_wrong():
    assert found("one path of both", max_tokens=4).tokens_per_pass == 4
    assert found("tree", max_tokens=30).tokens_per_pass == 8
    assert found("tree", max_tokens=1).widths == {2: 5}


def test_rows_cost_what_they_are_said_to_cost():
    assert Tally(10, {1: 4, 3: 3}).speed_up(lambda width: width) == 10 / 13
