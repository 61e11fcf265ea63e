"""Matches say of every token of an answer whether a drafter alone would have said it there."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest

from services.drafter.distilled_cache import DistilledCache, Manner, Work
from services.drafter.given_texts import GivenTexts
from services.drafter.suffix_scores import scored_texts
from tests.evaluation.tiny_drafters import distilled
from tests.tiny_model import tiny_gguf
from tiercel import engines
from tiercel.decoding import Randomness
from tiercel.engines.combined import CombinedDrafter
from tiercel.engines.distilled import DistilledModel
from tiercel.engines.language_model import Step
from tiercel.engines.suffix import SuffixIndex
from tiercel.errors import InvalidRequest
from tiercel.evaluation.generation import Request, TierDecoder
from tiercel.evaluation.loaded_tiers import LoadedTier
from tiercel.evaluation.matching.bridged import BridgedChooser
from tiercel.evaluation.matching.choices import Given, ModelChooser
from tiercel.evaluation.matching.distilled import DistilledChooser
from tiercel.evaluation.matching.lookups import LookupChooser
from tiercel.evaluation.matrix import TierIdentity
from tiercel.speculation.bridged_sequence import foreign_prompt
from tiercel.speculation.lookup import Basis
from tiercel.text import Bridge
from tiercel.tiers import Tier
from tiercel.types import Evidence, Message, SamplingParams

ASKED = [Message("user", "the other things on the station and the others")]
GREEDY = SamplingParams()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("matching")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIERCEL_CACHE", str(folder / "cache"))
        yield folder


def tier(folder: Path, *, noise: float = 0.0, tokenizer: str = "usual") -> LoadedTier:
    path = tiny_gguf(folder, 1, noise=noise, tokenizer=tokenizer)
    model, own = engines.load("native", str(path), dtype="int8", threads=1)
    description = model.description
    identity = TierIdentity(
        model="tiny",
        engine="native",
        dtype="int8",
        weights_digest=description.weights_digest,
        tokenizer_fingerprint=own.fingerprint,
    )
    settings = Tier(service="verifier", engine="native", addresses=("localhost:1",))
    return LoadedTier("tiny", model, own, identity, settings)


def answered(root: LoadedTier, most: int = 120) -> Given:
    """What a tier says greedily; longer than a piece of a teacher-forced pass."""
    prompt = tuple(root.tokenizer.render(ASKED))
    decoder = TierDecoder("root", root.model, root.tokenizer, 1)
    ((_, said),) = decoder.run([(0, Request(prompt, GREEDY, most))])
    return Given(ASKED, prompt, said.token_ids)


@pytest.fixture(scope="module")
def root(folder: Path) -> Iterator[LoadedTier]:
    root = tier(folder)
    yield root
    root.model.close()


def choice_after(model, tokens) -> tuple[int, float]:
    cache = model.open()
    ((row,),) = model.extend([Step(cache, list(tokens), 1)])
    cache.close()
    weights = np.exp(row.astype(np.float64) - row.max())
    return int(np.argmax(row)), float(weights.max() / weights.sum())


def test_a_drafter_that_is_the_root_is_always_right(root: LoadedTier):
    given = answered(root)
    matches = ModelChooser(root.model).matches(given)
    assert matches.flags.all() and len(matches.flags) == len(given.answer_ids) > 64
    wrong = [*given.answer_ids]
    wrong[40] = (wrong[40] + 1) % 256
    flags = ModelChooser(root.model).matches(replace(given, answer_ids=tuple(wrong))).flags
    assert flags[:40].all() and not flags[40] and not flags[41:].all()


def test_a_models_choices_are_those_after_what_stands_before(folder: Path, root: LoadedTier):
    given, drafter = answered(root), tier(folder, noise=0.06)
    matches = ModelChooser(drafter.model).matches(given)
    for place in (0, 1, 2, 63, 64, 65, len(given.answer_ids) - 1):
        before = [*given.prompt_ids, *given.answer_ids[:place]]
        token_id, prob = choice_after(drafter.model, before)
        assert matches.flags[place] == (token_id == given.answer_ids[place])
        assert matches.probs[place] == pytest.approx(prob, rel=1e-2)
    assert 0 < matches.flags.sum() < len(matches.flags)
    too_long = replace(given, answer_ids=given.answer_ids * 5)
    silent = ModelChooser(drafter.model).matches(too_long)
    assert len(silent.flags) == 600 and not silent.flags.any() and not silent.probs.any()
    drafter.model.close()


def test_a_twin_with_other_ids_is_always_right_across_the_bridge(folder: Path):
    one, other = (tier(folder, tokenizer=name) for name in ("bytes", "bytes, reversed"))
    given = answered(one)
    matches = BridgedChooser(other.model, other.tokenizer, one.tokenizer).matches(given)
    # Bytes that are no character are told when it is clear that they will not become one.
    text = one.tokenizer.decode(given.answer_ids)
    assert matches.flags.mean() == 1.0 or ("\ufffd" in text and matches.flags.mean() > 0.9)
    wrong = replace(given, answer_ids=(given.answer_ids[0] + 1, *given.answer_ids[1:]))
    chooser = BridgedChooser(other.model, other.tokenizer, one.tokenizer)
    assert not chooser.matches(wrong).flags[0]
    one.model.close(), other.model.close()


def live_choice(drafter: LoadedTier, root: LoadedTier, given: Given, place: int) -> int | None:
    """Return what a drafter of another tokenizer drafts first, told what was committed so far.

    None where it is told other tokens than those of the whole answer, or drafts no character.
    """
    bridge, whole = (Bridge(root.tokenizer, drafter.tokenizer) for _ in range(2))
    bridge.append(given.answer_ids[:place])
    whole.append(given.answer_ids)
    if bridge.told != whole.told[: len(bridge.told)]:
        return None
    prompt = foreign_prompt(root.tokenizer, drafter.tokenizer, given.prompt_ids, given.messages)
    run = list[int]()
    for _ in range(6):
        run.append(choice_after(drafter.model, [*prompt, *bridge.told, *run])[0])
    return next(iter(bridge.draft(run).token_ids), None)


def test_a_foreign_drafters_choices_are_those_of_a_live_one(folder: Path, root: LoadedTier):
    drafter = tier(folder, tokenizer="other, reversed")
    # What the drafter itself says, in the root's tokens, some of them replaced.
    said = answered(drafter, most=60).answer_ids
    answer = root.tokenizer.spell(b"".join(map(drafter.tokenizer.token_bytes, said)))
    for place in range(8, len(answer), 8):
        answer[place] = answer[place - 5]
    given = Given(ASKED, tuple(root.tokenizer.render(ASKED)), tuple(answer))
    chooser = BridgedChooser(drafter.model, drafter.tokenizer, root.tokenizer)
    flags = chooser.matches(given).flags
    live = [live_choice(drafter, root, given, place) for place in range(len(answer))]
    known = [place for place, choice in enumerate(live) if choice is not None]
    right = [live[place] == answer[place] for place in known]
    assert flags[known].tolist() == right
    assert len(known) > 0.7 * len(answer) and 0.1 < np.mean(right) < 0.9
    drafter.model.close()


def test_a_foreign_drafters_own_words_are_right_inside_them_too(folder: Path, root: LoadedTier):
    drafter = tier(folder, tokenizer="other, reversed")
    said = answered(drafter, most=120).answer_ids
    data = [drafter.tokenizer.token_bytes(token_id) for token_id in said]
    answer = root.tokenizer.spell(b"".join(data))
    given = Given(ASKED, tuple(root.tokenizer.render(ASKED)), tuple(answer))
    chooser = BridgedChooser(drafter.model, drafter.tokenizer, root.tokenizer)
    flags = chooser.matches(given).flags
    ends = {0, *accumulate(map(len, data))}
    starts = accumulate((len(root.tokenizer.token_bytes(one)) for one in answer), initial=0)
    inside = [start not in ends for start, _ in zip(starts, answer, strict=False)]
    assert any(inside) and flags[inside].all()
    drafter.model.close()


def test_look_ups_are_those_of_the_service(root: LoadedTier):
    given = answered(root, most=60)
    given = replace(given, answer_ids=given.answer_ids * 2)  # there is something to find
    fingerprint = root.tokenizer.fingerprint
    matches = LookupChooser(Basis(pool_tokens=0), fingerprint).matches(given)
    texts = GivenTexts(list(given.prompt_ids), [given.answer_ids], fingerprint)
    (scored,) = asyncio.run(scored_texts(CombinedDrafter(SuffixIndex()), texts, 0.0))
    right = [
        one.token_id == true for one, true in zip(scored.choices, given.answer_ids, strict=True)
    ]
    assert matches.flags.tolist() == right
    assert matches.probs == pytest.approx([one.prob for one in scored.choices], abs=1e-3)
    assert matches.flags[64:].mean() > 0.9 and 0 < np.count_nonzero(matches.probs) < 120


@pytest.mark.parametrize("uses_hidden", [True, False])
def test_a_distilled_drafters_choices_are_those_of_the_service(
    folder: Path, root: LoadedTier, uses_hidden: bool
):
    path = distilled(
        folder / f"drafter-{uses_hidden}", tiny_gguf(folder, 1), uses_hidden=uses_hidden
    )
    drafter, given = DistilledModel(str(path)), answered(root, most=80)
    matches = DistilledChooser(drafter, root).matches(given)
    assert not matches.flags[0] and matches.probs[0] == 0
    tokens, wanted = [*given.prompt_ids, *given.answer_ids], len(given.answer_ids)
    states = np.empty((wanted, root.model.description.hidden_size), np.float32)
    cache = root.model.open()
    root.model.extend(
        [Step(cache, tokens[:-wanted], 0)][:0] or [Step(cache, tokens[: -wanted - 1], 0)]
    )
    root.model.extend([Step(cache, tokens[-wanted - 1 : -1], wanted, states)])
    cache.close()
    manner = Manner(GREEDY, frozenset(), Evidence.NONE, Randomness(0))
    for place in range(1, wanted):
        work = Work(
            given.answer_ids[:place], states[:place] if uses_hidden else None, place, 0, 1, 0
        )
        drafted = DistilledCache(drafter, manner).draft(work, 0.0)
        assert matches.flags[place] == (drafted.token_ids[0] == given.answer_ids[place])
        assert matches.probs[place] == pytest.approx(drafted.probs[0], rel=1e-2)


def test_a_distilled_drafter_of_another_target_is_refused(folder: Path, root: LoadedTier):
    path = distilled(folder / "other", tiny_gguf(folder, 1), uses_hidden=True, digest="0" * 64)
    with pytest.raises(InvalidRequest, match="other hidden states"):
        DistilledChooser(DistilledModel(str(path)), root)
    foreign = tier(folder, tokenizer="bytes")
    with pytest.raises(InvalidRequest, match="another tokenizer"):
        DistilledChooser(DistilledModel(str(path)), foreign)
    foreign.model.close()
