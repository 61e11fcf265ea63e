"""The vocabulary bridge between the two real tokenizers, whatever the text."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.text.vocabularies import joined, texts
from tiercel.text import Bridge, Intersection
from tiercel.tokenizer import Tokenizer

WAYS = [("qwen", "smollm2"), ("smollm2", "qwen")]
TEXTS = {
    "code": "def f(x: int) -> int:\r\n\treturn x**2 + 10_000  # don't\n\n\n    print(f(3))\n",
    "scripts": "\u4f60\u597d\uff0c\u4e16\u754c\u3002 Привет, naïve \U0001f985\U0001f642\U0001f3fd ",
    "table": "| name | price |\n|------|-------|\n| tea  |  2.50 |\n",
    "prose": "Unfathomable internationalisation; it isn't 'theirs', is it?   \"No!\" ",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_in_pieces_is_spelled_as_the_whole(
    tokenizers: dict[str, Tokenizer], way: tuple[str, str], text: str
):
    parent, drafter = (tokenizers[name] for name in way)
    bridge = Bridge(parent, drafter)
    for token_id in parent.encode(3 * TEXTS[text]):
        bridge.append([token_id])
    assert bridge.told == drafter.encode(3 * TEXTS[text])


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts, width=st.integers(1, 6), data=st.data())
def test_bytes_never_differ(tokenizers, way: tuple[str, str], text: str, width: int, data):
    parent, drafter = (tokenizers[name] for name in way)
    tokens = parent.encode(text)
    bridge = Bridge(parent, drafter)
    for start in range(0, len(tokens), width):
        bridge.append(tokens[start : start + width])
    length = data.draw(st.integers(0, len(tokens)))
    bridge.cut(length)
    fresh = Bridge(parent, drafter)
    fresh.append(tokens[:length])
    assert bridge.told == fresh.told
    assert joined(drafter, bridge.told) + bridge.pending == joined(parent, tokens[:length])
    run = drafter.spell(text.encode())
    if run is not None and parent.spell(text.encode()) is not None:
        assert joined(parent, Bridge(parent, drafter).draft(run).token_ids) == text.encode()


@pytest.mark.parametrize(
    ("way", "least"), [(("qwen", "smollm2"), 0.75), (("smollm2", "qwen"), 0.2)]
)
def test_most_of_a_text_is_tokens_of_both(tokenizers, way: tuple[str, str], least: float):
    parent, drafter = (tokenizers[name] for name in way)
    both = Intersection(
        drafter, parent, drafter_size=drafter.vocab_size, parent_size=parent.vocab_size
    )
    assert both.share > least
    run = drafter.encode(TEXTS["prose"] + TEXTS["code"])
    found = both.translate(run, known=b"")
    assert joined(parent, found.token_ids) == joined(drafter, run)
    kept = [place for place in found.same_as if place is not None]
    assert len(kept) > 0.7 * len(run)
