"""Which turns a pass takes: narrow ones in order, prompts in pieces beside them."""

import itertools
from itertools import chain, repeat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tiercel.speculation.turn import Memory, Turn
from tiercel.speculation.waiting import WaitingTurns


def turn(num_tokens: int, num_logits: int = 1) -> Turn:
    return Turn(Memory(), 0, range(num_tokens), num_logits, len, lambda: False)


def waiting(*turns: Turn, most: int) -> WaitingTurns:
    clock = itertools.count()
    waiting = WaitingTurns(most, lambda: next(clock) * 1e-6)
    for each in turns:
        waiting.add(each)
    return waiting


def taken(waiting: WaitingTurns) -> list[tuple[Turn, int]]:
    """Take the turns of a pass, and feed them their pieces, as passes do."""
    batch, pieces = waiting.take(), []
    room = batch.room
    for each in batch.turns:
        if pieces and not each.fits(room):
            waiting.add(each)
            continue
        pieces.append((each, each.piece(room)))
        each.num_fed += pieces[-1][1]
        room -= pieces[-1][1]
    return pieces


def test_nothing_waits():
    assert waiting(most=64).take() is waiting(most=0).take() is None


def test_narrow_turns_share_a_pass_in_the_order_in_which_they_came():
    turns = [turn(rows) for rows in (1, 5, 32, 2)]
    assert taken(waiting(*turns, most=64)) == [(each, len(each.tokens)) for each in turns]


def test_what_has_no_room_comes_first_in_the_next_pass():
    turns = [turn(30) for _ in range(5)]
    queue = waiting(*turns, most=64)
    passes = [[each for each, _ in taken(queue)] for _ in range(3)]
    assert passes == [turns[:2], turns[2:4], turns[4:]]
    assert len(queue) == 0


def test_a_prompt_goes_in_pieces_beside_turns_that_come_again_and_again():
    prompt, others = turn(150), [turn(5) for _ in range(4)]
    queue = waiting(prompt, *others, most=64)
    pieces = []
    while prompt.num_left:
        batch = taken(queue)
        assert [each for each, _ in batch if each is not prompt] == others
        pieces += [rows for each, rows in batch if each is prompt]
        queue.discard(prompt)
        if prompt.num_left:
            queue.add(prompt)
        for each in others:
            each.num_fed = 0
            queue.add(each)
    assert pieces == [44, 44, 44, 18]


def test_many_narrow_turns_leave_a_prompt_its_share():
    prompt, others = turn(150), [turn(16) for _ in range(9)]
    batch = taken(waiting(*others, prompt, most=64))
    assert batch == [*((each, 16) for each in others[:3]), (prompt, 16)]


def test_a_short_prompt_does_not_wait_for_a_long_one_but_none_waits_for_ever():
    long, short, later = turn(4000), turn(100), turn(3900)
    clock = chain([0.0], repeat(1.0))
    queue = WaitingTurns(64, lambda: next(clock))
    for each in (long, short, later):
        queue.add(each)
    order = []
    while len(queue):
        for each, _ in taken(queue):
            if each.num_left:
                queue.add(each)
            else:
                order.append(each)
    assert order == [short, long, later]


def test_the_judged_tokens_go_into_one_pass():
    prompt = turn(70, num_logits=10)
    queue = waiting(prompt, most=64)
    assert taken(queue) == [(prompt, 60)]
    queue.add(prompt)
    assert taken(queue) == [(prompt, 10)]


def test_without_batches_turns_go_one_by_one_and_prompts_as_one_of_them():
    prompts, others = [turn(150), turn(150)], [turn(1) for _ in range(3)]
    queue = waiting(*prompts, *others, most=0)
    order = []
    for _ in range(12):
        [(each, _)] = taken(queue)
        order.append(each)
        queue.discard(each)
        if each in others:
            each.num_fed = 0
        if each.num_left:
            queue.add(each)
    first, second = prompts
    assert order == [first, *others, first, *others, first, *others]
    assert second.num_fed == 0


def test_a_turn_that_is_discarded_is_not_taken():
    kept, gone = turn(1), turn(1)
    queue = waiting(kept, gone, most=64)
    queue.discard(gone)
    assert taken(queue) == [(kept, 1)]


@example(turns=[(7, 1), (37, 1), (37, 37)], most=64)
@given(
    turns=st.lists(st.tuples(st.integers(1, 200), st.integers(1, 40)), min_size=1, max_size=12),
    most=st.sampled_from([0, 32, 64, 256]),
)
def test_every_turn_is_fed_and_no_pass_is_too_wide(turns: list[tuple[int, int]], most: int):
    all_turns = [turn(rows, min(rows, logits)) for rows, logits in turns]
    queue, num_passes = waiting(*all_turns, most=most), 0
    while len(queue):
        batch, num_passes = taken(queue), num_passes + 1
        assert batch, "turns wait, and none is taken"
        assert all(rows > 0 for _, rows in batch)
        # Judged rows go into one pass: the last turn may bring more of them than there is room.
        judged = max(each.num_logits for each, _ in batch)
        assert sum(rows for _, rows in batch) <= max(most, 64, judged) + max(16, judged - 16)
        for each, _ in batch:
            (queue.add if each.num_left else queue.discard)(each)
    assert all(each.num_left == 0 for each in all_turns)
    assert num_passes <= sum(2 + len(each.tokens) // 16 for each in all_turns)


def test_what_turns_waited_is_known():
    seconds = iter([0.0, 0.0, 2.0, 3.0])  # two come, both are taken, the second later
    queue = WaitingTurns(0, lambda: next(seconds))
    for each in (turn(1), turn(1)):
        queue.add(each)
    assert queue.wait_s == 0
    queue.take()
    assert queue.wait_s == pytest.approx(0.02 * 2.0)
    queue.take()
    assert queue.wait_s == pytest.approx(0.04 + 0.02 * (3.0 - 0.04))
