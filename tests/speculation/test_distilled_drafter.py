"""A distilled drafter: exact whatever it says, as right as offline, and for its target only."""

import pytest

from services.drafter.distilled_cache import DistilledCache, Manner, Work
from services.drafter.distilled_proposer import StatesProposer
from services.drafter.distilled_tier import DistilledTier
from services.drafter.servicer import DrafterServicer
from tests.distillation.conftest import MAX_NEW_TOKENS, prompts_of, record
from tests.speculation.answers import HOT, answer, ask, plain
from tests.speculation.fleet import HEARTBEAT_S, Fleet, Models, Replica, Weights
from tests.speculation.tampering import Gate, tampered
from tiercel.clients.tier import score
from tiercel.decoding import Randomness
from tiercel.distillation.drafting import measured
from tiercel.distillation.lessons import Teacher
from tiercel.engines.distilled import DistilledModel
from tiercel.errors import Unsupported
from tiercel.scores import ScoreAsk
from tiercel.speculation import pace
from tiercel.types import Evidence, Message, SamplingParams
from tiercel.wire.requests import TokenIds

pytest.importorskip("torch", reason="needs the extra `torch`")

from tests.distillation.drafters import exported, tiny_weights, training
from tiercel.distillation.torch_training import Schedule

PROMPTS = prompts_of(24)
KINDS = {"hidden": True, "tokens-only": False}


@pytest.fixture(scope="module")
def taught(models: Models, tmp_path_factory: pytest.TempPathFactory):
    """A drafter of each kind that knows what the tiny root says to PROMPTS, and those lessons."""
    folder = tmp_path_factory.mktemp("taught")
    target = models.load("root", Weights())
    record(target, folder / "recording", PROMPTS, num_tokens=24 * MAX_NEW_TOKENS, temperature=0.0)
    lessons = Teacher(*target, PROMPTS).lessons(folder / "recording")
    schedule = Schedule(num_steps=60, answers_per_step=8, learning_rate=3e-3)
    weights, drafters = tiny_weights(folder), {}
    for name, uses_hidden in KINDS.items():
        trained = training(lessons, weights, folder / name, schedule, uses_hidden=uses_hidden)
        trained.run(lessons, progress=lambda step, loss: None)
        path = folder / f"{name}-drafter"
        drafters[name] = exported(trained, target[1], path, "fp32", weights.digest)
    return drafters, lessons


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def served(fleet: Fleet, model: DistilledModel) -> Replica:
    def build() -> tuple[DistilledTier, DrafterServicer]:
        tier = DistilledTier("distilled", model, max_sessions=4, heartbeat_s=HEARTBEAT_S)
        return tier, DrafterServicer(tier, max_request_s=150.0)

    return await fleet.start("distilled", build)


def asked_of(row: int, **sampling):
    prompt = (Message("user", PROMPTS[row].text),)
    return ask(prompt, max_new_tokens=MAX_NEW_TOKENS, ignore_eos=True, **sampling)


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
@pytest.mark.parametrize("ahead", [0, 8])
async def test_it_never_changes_the_answer(fleet: Fleet, taught, kind, sampling, ahead):
    root = await fleet.model("root", tokens_ahead=ahead)
    drafter = await served(fleet, taught[0][kind])
    for num_tokens, confidence in ((1, 0.0), (4, 0.0), (16, 0.0), (4, 0.5)):
        plan = root.plan(
            drafter.plan(num_speculative_tokens=num_tokens, draft_confidence=confidence)
        )
        got = await answer(fleet, root, plan, asked_of(2, **sampling))
        assert got.same == (await plain(fleet, root, asked_of(2, **sampling))).same
        assert not got.lost
        if not confidence:
            assert got.pair("distilled").num_draft_tokens > 0


async def test_it_is_as_right_as_offline(fleet: Fleet, taught, kind):
    """States that are off by one, or late, would show here."""
    root, (drafters, lessons) = await fleet.model("root"), taught
    drafter = await served(fleet, drafters[kind])
    accepted = rejected = 0
    for row in range(8):
        plan = root.plan(drafter.plan(num_speculative_tokens=1))
        pair = (await answer(fleet, root, plan, asked_of(row))).pair("distilled")
        accepted, rejected = (
            accepted + pair.num_accepted_tokens,
            rejected + pair.num_rejected_tokens,
        )
    some = [one for one in lessons if one.answer.row < 8]
    offline = measured(drafters[kind], some).by_kind["all"].acceptance[0]
    assert offline > 0.4
    assert accepted / (accepted + rejected) == pytest.approx(offline, abs=0.12)


async def test_wrong_states_cost_acceptance_and_change_nothing(fleet: Fleet, taught, monkeypatch):
    root, drafter = await fleet.model("root"), await served(fleet, taught[0]["hidden"])
    plan = root.plan(drafter.plan(num_speculative_tokens=4))
    right = await answer(fleet, root, plan, asked_of(1))
    take = StatesProposer.take_states
    monkeypatch.setattr(
        StatesProposer,
        "take_states",
        lambda self, end, states: take(self, end, states[:, ::-1].copy()),
    )
    wrong = await answer(fleet, root, plan, asked_of(1))
    assert wrong.same == right.same == (await plain(fleet, root, asked_of(1))).same
    rates = [one.pair("distilled").acceptance_rate for one in (right, wrong)]
    assert rates[0] > rates[1] + 0.2


async def test_in_the_middle_of_a_chain_it_gets_the_states_of_the_tier_above_it(
    fleet: Fleet, taught, monkeypatch
):
    monkeypatch.setattr(pace, "_ALWAYS_WAIT_S", 2.0)  # the middle's first wait is in vain
    root, middle = await fleet.model("root", Weights("int8")), await fleet.model("middle")
    drafter = await served(fleet, taught[0]["hidden"])
    plan = root.plan(middle.plan(drafter.plan(num_speculative_tokens=2), num_speculative_tokens=6))
    # In a short answer on a busy machine all but one of its blocks may come too late.
    for row in (4, 5, 6, 7, 0, 1):
        got = await answer(fleet, root, plan, asked_of(row))
        assert got.same == (await plain(fleet, root, asked_of(row))).same
        if got.pair("distilled").num_accepted_tokens:
            return
    pytest.fail("none of its tokens was ever right")


async def test_a_target_of_other_weights_gives_no_states_and_is_told_so(
    fleet: Fleet, taught, monkeypatch
):
    monkeypatch.setattr(pace, "_ALWAYS_WAIT_S", 0.1)  # its drafter never says anything
    gate = Gate(12)  # the answer stands there until the drafter has seen enough of none

    def watch(session, got) -> None:
        if got.lost:
            gate.opened.set()

    root = await fleet.model("root", Weights(seed=1), tier_class=tampered(gate.hold))
    drafter = await served(fleet, taught[0]["hidden"])
    plan = root.plan(drafter.plan(num_speculative_tokens=4))
    got = await answer(fleet, root, plan, asked_of(0), watch=watch)
    assert got.same == (await plain(fleet, root, asked_of(0))).same
    assert any("hidden states of tiny: none came" in lost.reason for lost in got.lost)


async def test_without_a_drafter_that_asks_the_model_gives_none(fleet: Fleet, taught):
    asked = []

    class Watched:
        def __init__(self, model):
            self._model, self.description, self.open = model, model.description, model.open

        def extend(self, steps):
            asked.extend(step.hidden is not None for step in steps)
            return self._model.extend(steps)

    root = await fleet.model("root")
    passes = root.tier.runner._passes
    passes._model = Watched(passes._model)
    await plain(fleet, root, asked_of(0))
    assert asked and not any(asked)
    drafter = await served(fleet, taught[0]["hidden"])
    await answer(fleet, root, root.plan(drafter.plan(num_speculative_tokens=2)), asked_of(0))
    assert any(asked)
    asked.clear()
    suffix = await fleet.suffix()
    await answer(fleet, root, root.plan(suffix.plan(num_speculative_tokens=2)), asked_of(0))
    assert not asked[-1]  # the first passes may begin before the drafter has answered


@pytest.mark.parametrize("sampling", [{}, HOT], ids=["greedy", "sampled"])
async def test_its_scores_are_what_it_drafts_in_each_place(fleet: Fleet, taught, sampling):
    root, model = await fleet.model("root"), taught[0]["tokens-only"]
    drafter = await served(fleet, model)
    told = (await plain(fleet, root, asked_of(3, **sampling))).token_ids
    fingerprint, params = root.tier.tokenizer.fingerprint, SamplingParams(**sampling)
    texts = (TokenIds(tuple(told), fingerprint),)
    asked = ScoreAsk(TokenIds((40, 41), fingerprint), texts, params)
    assert drafter.tier.describe().speed.pass_s == 0
    [scored] = (await score(fleet.channel(drafter), asked, timeout_s=150.0)).continuations
    assert drafter.tier.describe().speed.pass_s > 0
    assert scored.token_ids == tuple(told) and not scored.logprobs
    first, *choices = [choice.token_id for choice in scored.choices]
    assert first is None
    cache = DistilledCache(model, Manner(params, frozenset(), Evidence.NONE, Randomness(0)))
    for known, choice in enumerate(choices, start=1):
        offset = int(model.widths[told[:known]].sum())
        work = Work(told[:known], None, known, known - 1, 1, offset)
        assert cache.draft(work, 0.0).token_ids == (choice,)
    agreeing = sum(choice == token for choice, token in zip(choices, told[1:], strict=True))
    assert 0 < agreeing < len(choices)


async def test_without_its_targets_states_it_cannot_score(fleet: Fleet, taught):
    drafter = await served(fleet, taught[0]["hidden"])
    fingerprint = taught[0]["hidden"].manifest.tokenizer_fingerprint
    asked = ScoreAsk(TokenIds((40,), fingerprint), (TokenIds((41,), fingerprint),))
    with pytest.raises(Unsupported, match="drafts from hidden states of tiny"):
        await score(fleet.channel(drafter), asked, timeout_s=150.0)
