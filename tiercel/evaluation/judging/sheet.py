"""One HTML page of blinded pairs that needs nothing else, and the key that says who is who."""

import hashlib
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tiercel.evaluation.judging.pairs import Pair
from tiercel.evaluation.judging.ratings import KeyedPair, SheetKey, Side
from tiercel.evaluation.judging.texts import AnswerText

_PAGE = Path(__file__).with_name("sheet_page.html")
_PAIR = """<section class="pair" data-pair="{id}">
<h2>{number} of {total}</h2>
<div class="prompt">{prompt}</div>
<div class="answers">
<div class="answer" data-side="left">{left}</div>
<div class="answer" data-side="right">{right}</div>
</div>
<fieldset><legend>Which one is better?</legend>
<label><input type="radio" name="{id}" value="left"> left</label>
<label><input type="radio" name="{id}" value="tie"> equally good</label>
<label><input type="radio" name="{id}" value="right"> right</label>
</fieldset>
</section>
"""


def sheet_of(pairs: Sequence[Pair]) -> tuple[str, SheetKey]:
    """Return the page and the key of these pairs.

    The page names prompts and columns by nothing but a number; the sheet's id is a digest of what
    the page shows, so it gives away nothing either.
    """
    shown = [[pair.item.prompt, pair.left.text, pair.right.text] for pair in pairs]
    sheet = hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]
    ids = [f"pair-{number}" for number in range(1, len(pairs) + 1)]
    sections = [
        _PAIR.format(
            id=id,
            number=number,
            total=len(pairs),
            prompt=_text(pair.item.prompt),
            left=_text(pair.left.text),
            right=_text(pair.right.text),
        )
        for number, (id, pair) in enumerate(zip(ids, pairs, strict=True), 1)
    ]
    # The texts come last: nothing in them is taken for a place of the page.
    page = _PAGE.read_text(encoding="utf-8").replace("{sheet}", sheet)
    page = page.replace("{pairs}", "".join(sections))
    keyed = {id: _keyed(pair) for id, pair in zip(ids, pairs, strict=True)}
    return page, SheetKey(sheet=sheet, pairs=keyed)


def _keyed(pair: Pair) -> KeyedPair:
    return KeyedPair(
        set_name=pair.item.set_name,
        prompt_id=pair.item.id,
        prompt_hash=pair.item.prompt_hash,
        left=_side(pair.left),
        right=_side(pair.right),
    )


def _side(answer: AnswerText) -> Side:
    return Side(column=answer.column, answer_hash=answer.answer_hash)


def _text(text: str) -> str:
    # HTML cannot hold a NUL, and a parser makes CR a line end.
    return escape(text.replace("\0", "\ufffd"))
