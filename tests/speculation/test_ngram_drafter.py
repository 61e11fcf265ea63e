"""A drafter of a suffix index and an n-gram table: exact, counted, and only for its own ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY

from services.drafter.servicer import DrafterServicer
from services.drafter.suffix_tier import SuffixProposer, SuffixTier
from tests.speculation.answers import HOT, answer, ask, eventually, plain
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Replica
from tiercel.distillation.ngram_counts import Texts
from tiercel.distillation.ngram_table import Bounds, build
from tiercel.engines.guesses import Guess
from tiercel.engines.ngram import NgramTable
from tiercel.engines.ngram_file import NgramHeader, save
from tiercel.speculation.lookup import Basis
from tiercel.types import Plan

PROMPTS = [f"What about {thing}?" for thing in ("bees", "ships", "clocks", "the weather")]
BOUNDS = Bounds(min_confidence=0.0, min_difference=0.0)


@dataclass(frozen=True)
class Tables:
    """A root, the table of what it says to PROMPTS, and that table with other tokens in it."""

    root: Replica
    good: Path
    wrong: Path
    foreign: Path  # as good, for another tokenizer


@pytest.fixture
async def tables(fleet: Fleet, tmp_path: Path) -> Tables:
    root = await fleet.model("root")
    asks = [ask(prompt, max_new_tokens=60, ignore_eos=True) for prompt in PROMPTS]
    texts = [(await plain(fleet, root, asked)).token_ids for asked in asks]
    # Twice, as of two prompts: what is said once is hardly evidence.
    arrays = build(Texts.of(2 * texts, range(2 * len(texts))), 269, BOUNDS)
    header = NgramHeader("tiny", root.tier.tokenizer.fingerprint, 269, 5, 240)
    paths = [tmp_path / name for name in ("good", "wrong", "foreign")]
    save(paths[0], header, arrays)
    sure = np.full_like(arrays.confidences, 255)
    save(paths[1], header, replace(arrays, tokens=(arrays.tokens + 1) % 269, confidences=sure))
    save(paths[2], replace(header, tokenizer_fingerprint="another"), arrays)
    return Tables(root, *paths)


async def drafter(fleet: Fleet, name: str, path: Path | None) -> Replica:
    def build_tier() -> tuple[SuffixTier, DrafterServicer]:
        table = NgramTable(path) if path is not None else None
        basis = Basis(0.01, pool_tokens=0, max_length=32_768, table=table)
        tier = SuffixTier(name, basis, max_sessions=16, heartbeat_s=HEARTBEAT_S)
        return tier, DrafterServicer(tier, max_request_s=150.0)

    return await fleet.start(name, build_tier)


def guessed(tier: str, source: str, fate: str) -> float:
    labels = {"tier": tier, "source": source, "fate": fate}
    return REGISTRY.get_sample_value("tiercel_guessed_tokens_total", labels) or 0.0


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
@pytest.mark.parametrize("kind", ["good", "wrong"])
async def test_a_table_never_changes_the_answer(
    fleet: Fleet, tables: Tables, kind: str, sampling: dict
) -> None:
    tier = await drafter(fleet, f"{kind}-{len(sampling)}", getattr(tables, kind))
    for num_tokens in (1, 4, 16):
        asked = ask(PROMPTS[0], max_new_tokens=60, ignore_eos=True, **sampling)
        plan = tables.root.plan(tier.plan(num_speculative_tokens=num_tokens))
        got = await answer(fleet, tables.root, plan, asked)
        assert got.same == (await plain(fleet, tables.root, asked)).same
        assert got.pair(tier.name).num_draft_tokens > 0
    if kind == "wrong":
        await eventually(lambda: tier.num_sessions == 0)
        assert guessed(tier.name, "ngram", "rejected") > 10


async def test_a_table_drafts_what_the_target_says(fleet: Fleet, tables: Tables) -> None:
    asked = ask(PROMPTS[1], max_new_tokens=60, ignore_eos=True)
    without = await drafter(fleet, "without", None)
    tier = await drafter(fleet, "combined", tables.good)
    alone = await answer(fleet, tables.root, tables.root.plan(without.plan()), asked)
    got = await answer(fleet, tables.root, tables.root.plan(tier.plan()), asked)
    assert got.pair("combined").num_accepted_tokens > 30
    assert got.pair("combined").num_accepted_tokens > alone.pair("without").num_accepted_tokens
    assert set(got.sources) == {"root", "combined"}  # the tier's name, whatever its sources are


async def test_judged_guesses_are_counted_by_source(fleet: Fleet, tables: Tables) -> None:
    tier = await drafter(fleet, "counted", tables.good)
    asked = ask(PROMPTS[2], max_new_tokens=60, ignore_eos=True)
    got = await answer(fleet, tables.root, tables.root.plan(tier.plan()), asked)
    await eventually(lambda: tier.num_sessions == 0)
    pair, sources = got.pair("counted"), ("suffix", "ngram")
    accepted = sum(guessed("counted", source, "accepted") for source in sources)
    rejected = sum(guessed("counted", source, "rejected") for source in sources)
    assert guessed("counted", "ngram", "accepted") > 0
    # The last block is never told of: the parent had all it needed.
    assert pair.num_accepted_tokens - 5 <= accepted <= pair.num_accepted_tokens
    assert abs(rejected - pair.num_rejected_tokens) <= 1


async def test_a_table_of_another_tokenizer_is_not_used(fleet: Fleet, tables: Tables) -> None:
    tier = await drafter(fleet, "foreign", tables.foreign)
    asked = ask(PROMPTS[3], max_new_tokens=60, ignore_eos=True)
    got = await answer(fleet, tables.root, tables.root.plan(tier.plan()), asked)
    assert got.same == (await plain(fleet, tables.root, asked)).same
    assert not got.lost
    assert [guessed("foreign", "ngram", fate) for fate in ("accepted", "rejected")] == [0, 0]


class Counting:
    """Guesses that one more follows."""

    name = "counting"

    def __init__(self) -> None:
        self.tokens: list[int] = []

    def append(self, tokens: Sequence[int]) -> None:
        self.tokens += tokens

    def truncate(self, length: int) -> None:
        del self.tokens[length:]

    def guess(self) -> Guess:
        return Guess(self.tokens[-1] + 1, 0.9)


async def test_what_was_not_judged_is_not_counted() -> None:
    def counts() -> tuple[float, float]:
        return guessed("unit", "counting", "accepted"), guessed("unit", "counting", "rejected")

    proposer = SuffixProposer(Plan("unit"), [Counting()], 0.01)
    proposer.append([1, 2])
    assert (await proposer.propose(4)).token_ids == (3, 4, 5, 6)
    assert counts() == (0, 0)
    proposer.cut(4)  # 3 and 4 stand,
    proposer.append([9])  # 5 does not, and nothing is known of 6
    assert counts() == (2, 1)
    assert (await proposer.propose(2)).token_ids == (10, 11)
    proposer.append([12])  # after all that was drafted: it was accepted
    assert counts() == (4, 1)
    assert (await proposer.propose(2)).token_ids == (13, 14)
    proposer.cut(9)  # 13 stands; 14 is dropped unjudged: a new epoch began
    assert (await proposer.propose(1)).token_ids == (14,)
    assert counts() == (5, 1)
    proposer.cut(3)  # far back: the parent's own parent rejected what was accepted here
    proposer.append([7])
    assert counts() == (5, 1)
    assert proposer.committed(0) == [1, 2, 3, 7]
