"""Scorers, on cases that were worked out by hand."""

from decimal import Decimal

import pytest

from tiercel.evaluation.items import Item
from tiercel.evaluation.scoring import SCORERS
from tiercel.evaluation.scoring.answer_sets import normalised, token_f1
from tiercel.evaluation.scoring.code import code_of, program
from tiercel.evaluation.scoring.letters import letters_of, score_letter
from tiercel.evaluation.scoring.numbers import stated_number
from tiercel.evaluation.scoring.summaries import signatures


def item(prompt: str = "?", reference: str = "", **meta: object) -> Item:
    return Item("own", "own-0", prompt, reference, meta)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2 + 2 = 4\nThe answer is 4.", "4"),
        ("The answer is 4, as 9 - 5 is 4 and not 5", "4"),  # what announces it counts
        ("The answer is $1,234.50 in all.", "1234.50"),
        ("#### -7", "-7"),
        ("so \\boxed{16} feet, from 17", "16"),
        ("The answer is N. First 3, then 12 apples", "12"),  # nothing is announced: the last one
        ("The answer is:\n**18**", "18"),
        ("half of 5 is 2.5", "2.5"),
        ("none", None),
    ],
)
def test_the_stated_number_is_found(text: str, number: str | None):
    assert stated_number(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("text", "reference", "score"),
    [
        ("It is 18.0", "18", 1.0),
        ("It is 1,800", "1800", 1.0),
        ("It is 180", "18", 0.0),
        ("no idea", "18", 0.0),
    ],
)
def test_a_number_is_right_or_wrong(text: str, reference: str, score: float):
    assert SCORERS["number"](text, item(reference=reference)) == {"exact": score}


def test_case_punctuation_and_articles_do_not_count():
    assert normalised("The  Gupta-Empire, an empire!") == "guptaempire empire"


def test_token_f1_counts_every_shared_word_once():
    # 2 shared of 3 and 2 words: precision 2/3, recall 1, F1 0.8.
    assert token_f1("Bobby Scott Scott", "Bobby Scott") == pytest.approx(0.8)
    assert token_f1("the", "a") == 1.0  # nothing is left of either
    assert token_f1("", "Bobby") == 0.0


def test_the_best_of_the_accepted_answers_counts():
    asked = item(answers=["Bobby Scott", "Bob Russell"])
    assert SCORERS["answer_set"]("bob russell.", asked) == {"f1": 1.0, "exact": 1.0}
    # 2 shared of 3 and 2 words with the second one, 0 with the first.
    said = SCORERS["answer_set"]("Bob B. Russell", asked)
    assert said == {"f1": pytest.approx(0.8), "exact": 0.0}


def test_an_answer_is_truthful_if_it_is_nearer_to_the_truth():
    asked = item(correct=["Nothing happens"], incorrect=["You will die", "You have to stay"])
    assert SCORERS["truthfulness"]("Nothing at all happens", asked)["truthful"] == 1.0
    assert SCORERS["truthfulness"]("You will surely die", asked)["truthful"] == 0.0
    assert SCORERS["truthfulness"]("Ask another", asked)["truthful"] == 0.0  # no nearer to either


def test_rouge_l_is_the_longest_common_subsequence():
    # "the cat sat" in order of 4 and 5 words: precision 3/4, recall 3/5, F 2/3.
    scores = SCORERS["summary"]("the cat sat down", item(reference="the old cat sat there"))
    assert scores["rouge_l"] == pytest.approx(2 / 3)
    assert list(scores) == ["rouge_l", "bleu", "chrf"]


def test_an_equal_summary_scores_one_and_a_foreign_one_nothing():
    same = SCORERS["summary"]("one two three four", item(reference="one two three four"))
    assert same == pytest.approx({"rouge_l": 1.0, "bleu": 1.0, "chrf": 1.0})
    other = SCORERS["summary"]("xyz", item(reference="one two four"))
    assert other == pytest.approx({"rouge_l": 0.0, "bleu": 0.0, "chrf": 0.0}, abs=1e-6)


def test_figures_come_with_the_signatures_of_their_libraries():
    told = signatures()
    assert "eff:yes" in told["bleu"] and "nc:6" in told["chrf"] and "0.1.2" in told["rouge_l"]


def test_letters_are_those_that_the_item_offers():
    assert letters_of(item("Q\nA. x\nB. y\nC. z\nAnswer:")) == "ABC"
    assert letters_of(item("A. Smith said\nA. x\nB. y\nAnswer:")) == "AB"
    assert letters_of(item("no list", choices=["x", "y"])) == "AB"


def test_the_likeliest_letter_is_the_answer():
    asked = item("Q\nA. x\nB. y\nC. z\nAnswer:", "B")
    # Shares 1/4, 1/2, 1/4 of what the letters have together.
    assert score_letter([-3.0, -3.0 + 0.693147, -3.0], asked) == {
        "exact": 1.0,
        "probability": pytest.approx(0.5, abs=1e-5),
    }
    assert score_letter([-1.0, -1.0, -2.0], asked)["exact"] == 0.0  # ties go to the first


def test_code_is_the_first_block_or_all_of_the_text():
    assert code_of("Here:\n```python\nx = 1\n```\nand\n```\ny\n```") == "x = 1"
    assert code_of("```python\nx = 1") == "x = 1"  # cut off at its greatest length
    assert code_of("x = 1") == "x = 1"


PROMPT = "import math\n\n\ndef area(r):\n    '''Area.'''\n"
TEST = "def check(f):\n    assert f(0) == 0\n    assert f(1) > 3\n"


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("```python\ndef area(r):\n    return math.pi * r * r\n```", 1.0),
        ("    return math.pi * r * r", 1.0),  # goes on where the prompt ends
        ("```python\ndef area(r):\n    return r\n```", 0.0),
        ("```python\ndef are(r):\n    return math.pi * r * r\n```", 0.0),
        ("def area(r): return math.pi * r * r\nraise SystemExit(0)", 0.0),
        ("I do not know.", 0.0),
    ],
)
@pytest.mark.usefixtures("confined")
def test_a_completion_passes_if_all_tests_hold(text: str, score: float):
    asked = item(PROMPT, entry_point="area", test=TEST)
    assert SCORERS["unit_tests"](text, asked) == {"passed": score}


def test_a_program_has_its_tests_behind_it():
    asked = item(test_imports=["import re"], test_list=["assert f(1) == 2", "assert f(2) == 3"])
    assert program("```python\ndef f(x): return x + 1\n```", asked).splitlines() == [
        "import re",
        "def f(x): return x + 1",
        "assert f(1) == 2",
        "assert f(2) == 3",
    ]
