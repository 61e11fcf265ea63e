"""What a score tells of a tier's speed."""

from tests.speculation.fleet import Fleet
from tiercel.clients.tier import score
from tiercel.scores import ScoreAsk
from tiercel.speculation.model_tier import ModelTier
from tiercel.speculation.scoring import _PIECE
from tiercel.wire.requests import TokenIds


async def test_a_tier_that_only_scored_knows_how_long_its_steps_take(fleet: Fleet):
    root, widths = await fleet.model("root", tier_class=ModelTier), []
    words = root.tier.tokenizer.fingerprint
    passes = root.tier.runner._passes
    extend = passes._model.extend
    passes._model.extend = lambda steps: widths.append(len(steps[0].tokens)) or extend(steps)
    asked = ScoreAsk(
        TokenIds(tuple(range(40, 60)), words), (TokenIds(tuple(range(70, 130)), words),)
    )
    assert root.tier.describe().speed.pass_s == 0
    first = await score(fleet.channel(root), asked, timeout_s=150)
    assert widths == [20, 1, _PIECE, 60 - 2 - _PIECE]
    assert root.tier.describe().speed.pass_s > 0
    widths.clear()
    assert await score(fleet.channel(root), asked, timeout_s=150) == first
    assert widths == [_PIECE, 60 - _PIECE], "known by now; the prompt is in the cache"
