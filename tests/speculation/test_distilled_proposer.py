"""A proposer that was cut, corrected and fed in pieces drafts what a fresh one drafts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.drafter.distilled_proposer import StatesProposer, TokensProposer
from tests.tiny_model import tiny_gguf
from tiercel.decoding import TokenDistribution
from tiercel.distillation.beginning import first_weights, shape_of
from tiercel.distillation.exporting import write_drafter
from tiercel.engines.distilled import DistilledModel, drafter_folder
from tiercel.engines.distilled_file import DrafterManifest
from tiercel.errors import ModelUnavailable, PlanRefused, Unsupported
from tiercel.models.resolve import resolve
from tiercel.types import Evidence, Plan, SamplingParams
from tiercel.wire.draft import DraftOpening
from tiercel.wire.requests import TokenIds

VOCAB, HIDDEN, NUM_PROMPT = 269, 64, 3
PROMPT = (5, 6, 7)
GREEDY = SamplingParams()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, DistilledModel]:
    """Untrained drafters, with and without hidden states: what they say depends on all rows."""
    folder = tmp_path_factory.mktemp("drafters")
    checkpoint = resolve(str(tiny_gguf(folder)))
    ids = np.arange(200, dtype=np.uint32)
    found = {}
    for uses_hidden in (True, False):
        shape = shape_of(
            checkpoint.weights.config, num_inputs=200, num_outputs=128, uses_hidden=uses_hidden
        )
        tensors = first_weights(checkpoint.weights, shape, ids, [])
        for name, values in tensors.items():
            noise = np.random.default_rng(len(name)).normal(scale=0.2, size=values.shape)
            if "norm" not in name:
                tensors[name] = values + noise.astype(np.float32)
        manifest = DrafterManifest(
            target="tiny",
            target_digest="",
            tokenizer_fingerprint="",
            vocab_size=VOCAB,
            dtype="fp32",
            shape=shape,
            num_train_tokens=0,
            num_train_steps=0,
            token_s=0.0,
            held_out={},
        )
        path = folder / str(uses_hidden)
        write_drafter(path, manifest, tensors, ids, checkpoint.read_tokenizer())
        found[uses_hidden] = DistilledModel(str(path))
    return found


@pytest.fixture(scope="module")
def executor():
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


@dataclass
class Target:
    """A sequence that a parent decides; its state at a position is a function of the tokens."""

    tokens: list[int]

    def states(self, start: int, end: int) -> np.ndarray:
        rows = []
        for position in range(start, end):
            seed = abs(hash(tuple(self.tokens[: position + 1])))
            rows.append(np.random.default_rng(seed).normal(size=HIDDEN))
        return np.array(rows, np.float32).reshape(-1, HIDDEN)


def proposer_for(model, executor, tokens, params=GREEDY, evidence=Evidence.NONE) -> TokensProposer:
    opening = DraftOpening(
        request_id="r",
        plan=Plan("distilled"),
        prefix=TokenIds(tuple(tokens), ""),
        num_prompt_tokens=NUM_PROMPT,
        params=params,
        stop_token_ids=frozenset(),
        max_new_tokens=100,
        max_tokens_ahead=8,
        evidence=evidence,
    )
    kind = StatesProposer if model.manifest.shape.uses_hidden else TokensProposer
    return kind(model, opening, executor)


def tell(proposer, target: Target, start: int) -> None:
    """Send the states from position `start` on, if the proposer wants any."""
    if isinstance(proposer, StatesProposer):
        end = len(target.tokens) - 1
        proposer.take_states(end, target.states(start, end))


async def fresh_draft(model, executor, target: Target, count: int, params) -> tuple[int, ...]:
    proposer = proposer_for(model, executor, target.tokens, params)
    tell(proposer, target, NUM_PROMPT - 1)
    drafted = await proposer.propose(count)
    await proposer.close()
    return drafted.token_ids


# How many of the draft the parent accepts, what it says then, how many it asks for next.
rounds = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, VOCAB - 1), st.integers(1, 5)),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("uses_hidden", [True, False])
@pytest.mark.parametrize("params", [GREEDY, SamplingParams(0.9, seed=3)])
@given(rounds=rounds, cuts=st.sets(st.integers(0, 7)))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_it_drafts_what_a_fresh_one_does(models, executor, uses_hidden, params, rounds, cuts):
    model, target = models[uses_hidden], Target([*PROMPT, 9])
    proposer = proposer_for(model, executor, target.tokens, params)
    tell(proposer, target, NUM_PROMPT - 1)
    count = 3
    for turn, (accepted, token, next_count) in enumerate(rounds):
        run = list((await proposer.propose(count)).token_ids)
        assert run == list(await fresh_draft(model, executor, target, count, params))
        known = len(target.tokens)
        if turn in cuts:  # drafting ahead: the run goes on before the parent has judged
            run += (await proposer.propose(2)).token_ids
        agreed = run[:accepted]
        target.tokens += [*agreed, token]
        if run[len(agreed) :] and token == run[len(agreed)]:
            agreed.append(token)
        if len(agreed) < len(run):
            proposer.cut(known + len(agreed))
        if rest := target.tokens[known + len(agreed) :]:
            proposer.append(rest)
        tell(proposer, target, known - 1)
        count = next_count
    await proposer.close()


@pytest.mark.parametrize("uses_hidden", [True, False])
async def test_a_parent_that_takes_back_what_it_committed(models, executor, uses_hidden):
    model, target = models[uses_hidden], Target([*PROMPT, 9])
    proposer = proposer_for(model, executor, target.tokens)
    tell(proposer, target, NUM_PROMPT - 1)
    await proposer.propose(2)
    proposer.cut(4)
    target.tokens += [11, 12, 13, 14]
    proposer.append([11, 12, 13, 14])
    tell(proposer, target, 3)
    await proposer.propose(2)
    target.tokens[6:] = [40]
    proposer.cut(6)
    proposer.append([40])
    tell(proposer, target, 5)
    drafted = (await proposer.propose(4)).token_ids
    assert drafted == await fresh_draft(model, executor, target, 4, GREEDY)


@pytest.mark.parametrize("uses_hidden", [True, False])
async def test_a_run_that_is_taken_back_is_drafted_again(models, executor, uses_hidden):
    target = Target([*PROMPT, 9])
    proposer = proposer_for(models[uses_hidden], executor, target.tokens)
    tell(proposer, target, NUM_PROMPT - 1)
    first = (await proposer.propose(3)).token_ids
    proposer.cut(4)
    assert (await proposer.propose(3)).token_ids == first


@pytest.mark.parametrize("uses_hidden", [True, False])
async def test_a_long_answer_is_followed_by_its_end(models, executor, uses_hidden):
    model = models[uses_hidden]
    generator = np.random.default_rng(1)
    tokens = [int(token) for token in generator.integers(VOCAB, size=model.max_length + 40)]
    target = Target([*PROMPT, *tokens])
    proposer = proposer_for(model, executor, target.tokens)
    tell(proposer, target, NUM_PROMPT - 1)
    drafted = (await proposer.propose(4)).token_ids
    again = (await proposer.propose(4)).token_ids
    assert (len(drafted), len(again)) == (4, 4)
    assert len(proposer._work(1).tokens) < 100
    await proposer.close()


async def test_a_gap_in_the_states_begins_a_new_window(models, executor):
    model, target = models[True], Target([*PROMPT, 9, 10, 11, 12, 13])
    late = proposer_for(model, executor, target.tokens)
    late.take_states(7, target.states(5, 7))
    whole = proposer_for(model, executor, target.tokens)
    whole.take_states(4, target.states(2, 4))
    whole.take_states(7, target.states(5, 7))
    assert (await late.propose(4)).token_ids == (await whole.propose(4)).token_ids


async def test_a_token_too_unlikely_ends_the_draft(models, executor):
    target = Target([*PROMPT, 9])
    proposer = proposer_for(models[True], executor, target.tokens)
    proposer.replan(Plan("distilled", draft_confidence=0.999))
    tell(proposer, target, NUM_PROMPT - 1)
    drafted = await proposer.propose(5)
    assert (len(drafted.token_ids), drafted.num_unsure) == (1, 1)


async def test_without_states_it_says_so(models, executor):
    proposer = proposer_for(models[True], executor, [*PROMPT, 9])
    for _ in range(2):
        proposer.take_states(3, np.empty((0, HIDDEN), np.float32))
    with pytest.raises(Unsupported, match="hidden states of tiny: none came"):
        proposer.take_states(3, np.empty((0, HIDDEN), np.float32))


def test_nothing_drafts_for_it(models, executor):
    proposer = proposer_for(models[True], executor, [*PROMPT, 9])
    with pytest.raises(PlanRefused):
        proposer.replan(Plan("distilled", drafters=(Plan("other"),)))


def test_a_drafter_that_is_not_there_is_named():
    with pytest.raises(ModelUnavailable, match="'no such one'"):
        drafter_folder("no such one")


async def test_it_draws_from_what_it_sends_and_never_twice_with_the_same_numbers(models, executor):
    tokens, hot, drawn = [*PROMPT, 20, 21], SamplingParams(temperature=1.5, seed=4), []
    proposer = proposer_for(models[False], executor, tokens, hot, Evidence.DISTRIBUTIONS)
    for _ in range(20):
        found = await proposer.propose(4)
        assert all(map(TokenDistribution.prob, found.distributions, found.token_ids))
        drawn.append(found.token_ids[0])
        proposer.cut(len(tokens))
    assert len(set(drawn)) > 3, "what is redrafted in a place is drawn anew"
    known = found.distributions[0].shares.max()
    for sure, held in ((0.9 * known, None), (1.1 * known, 1)):
        proposer.replan(Plan("distilled", draft_confidence=sure))
        proposer.cut(len(tokens))
        assert (await proposer.propose(1)).num_unsure == held
