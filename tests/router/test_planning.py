"""From an outline to a plan: what was learned, which replicas, and what is refused."""

from dataclasses import replace

import pytest

from services.router.fleet import Fleet, Replica, least_loaded
from services.router.learning.learned import Advice
from services.router.planning import addressed, advised, check_asked, part_at
from tiercel.descriptions import TierDescription
from tiercel.errors import NotFound, PlanRefused
from tiercel.learning import LearnedPolicy, PairPolicy
from tiercel.plan_rules import LOCAL
from tiercel.plan_text import parse_plan, print_plan
from tiercel.replies import ReplicaState


def description(tier: str) -> TierDescription:
    return TierDescription(tier, "", "", "", "", True, "", 0, 0, True, True, 0, 0, 0, 0.0)


@pytest.fixture
async def fleet():
    fleet = Fleet(["target", "draft", "suffix"])
    for tier in fleet.tiers:
        fleet.set_addresses(tier, [f"{tier}:{port}" for port in (1, 2)])
    yield fleet
    for replica in fleet.replicas():
        await replica.channel.close()


def ready(fleet: Fleet, *addresses: str) -> None:
    for replica in fleet.replicas():
        if replica.address in addresses:
            replica.is_ready(description(replica.tier))


def learned(drafter: str, number: int, *, kind: str = "", confidence: float = 0.0) -> PairPolicy:
    return PairPolicy(drafter, "target", kind, number, confidence, 0.5, 100, 0.01, 0.03)


def advice(*pairs: PairPolicy) -> Advice:
    known = Advice()
    known.take(LearnedPolicy("e", 1, pairs))
    return known


def test_what_is_learned_fills_what_was_left_open():
    known = advice(learned("draft", 7, confidence=0.25))
    assert print_plan(advised(parse_plan("target <- draft <- suffix"), known, kind="")) == (
        "target <- draft:7@0.25 <- suffix:4"
    )


@pytest.mark.parametrize("written", ["draft:2@0.1", "draft:2", "draft:4", "draft:0"])
def test_a_tier_with_a_number_stands_as_it_was_written(written):
    known = advice(learned("draft", 7, confidence=0.25))
    plan = advised(parse_plan(f"target <- {written} <- suffix"), known, kind="")
    assert print_plan(plan) == f"target <- {written} <- suffix:4"


def test_a_confidence_alone_is_a_number_too():
    known = advice(learned("draft", 7, confidence=0.25))
    plan = advised(parse_plan("target <- draft@0.1"), known, kind="")
    assert print_plan(plan) == "target <- draft:4@0.1"


def test_the_kind_of_request_goes_before_all_kinds_together():
    known = advice(learned("draft", 7), learned("draft", 0, kind="summarize"))
    outline = parse_plan("target <- draft")
    assert print_plan(advised(outline, known, kind="summarize")) == "target <- draft:0"
    assert print_plan(advised(outline, known, kind="chat")) == "target <- draft:7"


def test_without_anything_learned_the_defaults_stand():
    outline = parse_plan("target <- draft")
    assert advised(outline, Advice(), kind="") == outline.plan()


def test_every_part_gets_the_address_of_a_replica_that_takes_work(fleet):
    ready(fleet, "target:1", "draft:2", "suffix:1")
    plan = parse_plan("target <- draft <- suffix").plan()
    filled = addressed(plan, fleet.find("target", "target:1"), fleet)
    assert [part.address for part in filled.walk()] == ["target:1", "draft:2", "suffix:1"]


def test_a_drafter_that_is_away_keeps_a_place_in_the_plan(fleet):
    ready(fleet, "target:1")
    plan = parse_plan("target <- draft").plan()
    filled = addressed(plan, fleet.find("target", "target:1"), fleet)
    assert filled.drafters[0].address in ("draft:1", "draft:2")


def test_a_drafter_tier_without_any_replica_leaves_the_plan(fleet):
    fleet.set_addresses("draft", [])
    plan = parse_plan("target <- [draft, suffix]").plan()
    filled = addressed(plan, fleet.find("target", "target:1"), fleet)
    assert [part.tier for part in filled.walk()] == ["target", "suffix"]


def test_a_drafter_that_failed_is_replaced_and_the_others_stay(fleet):
    ready(fleet, "target:1", "draft:1", "draft:2", "suffix:1")
    root = fleet.find("target", "target:1")
    plan = addressed(parse_plan("target <- [draft, suffix]").plan(), root, fleet)
    lost = plan.drafters[0].address
    fleet.find("draft", lost).failed("gone")
    again = addressed(plan, root, fleet)
    assert {lost, again.drafters[0].address} == {"draft:1", "draft:2"}
    assert again.drafters[1] == plan.drafters[1]


def test_a_replica_to_avoid_is_left_for_another_if_there_is_one(fleet):
    ready(fleet, "target:1", "draft:1", "draft:2", "suffix:1")
    root = fleet.find("target", "target:1")
    plan = addressed(parse_plan("target <- [draft, suffix]").plan(), root, fleet)
    avoided = {fleet.find(part.tier, part.address) for part in plan.drafters}
    again = addressed(plan, root, fleet, avoiding=avoided)
    assert {plan.drafters[0].address, again.drafters[0].address} == {"draft:1", "draft:2"}
    assert again.drafters[1] == plan.drafters[1], "there is no other suffix index"
    assert addressed(plan, root, fleet) == plan


def test_the_least_loaded_is_chosen_and_ties_are_drawn(fleet):
    ready(fleet, "draft:1", "draft:2")
    first, second = fleet.of("draft")
    drawn = {least_loaded(fleet.ready("draft")).address for _ in range(50)}
    assert drawn == {"draft:1", "draft:2"}
    first.num_drafting = 1
    assert {least_loaded(fleet.ready("draft")) for _ in range(20)} == {second}


def test_a_replica_that_failed_is_used_only_if_there_is_no_other(fleet):
    ready(fleet, "draft:1", "draft:2")
    first, second = fleet.of("draft")
    first.failed("gone")
    first.is_ready(description("draft"))
    assert fleet.ready("draft") == [second]
    second.is_unreachable("gone too")
    assert fleet.ready("draft") == [first]


def test_one_late_answer_is_chance_and_two_are_not(fleet):
    ready(fleet, "draft:1")
    first = fleet.find("draft", "draft:1")
    first.missed("late")
    assert fleet.ready("draft") == [first]
    first.missed("late")
    assert fleet.ready("draft") == []


@pytest.mark.parametrize(
    ("text", "address", "error"),
    [
        ("target <- nobody", "", NotFound),
        ("nobody", "", NotFound),
        ("target <- draft", "elsewhere:1", PlanRefused),
        ("target <- target", "", PlanRefused),
    ],
)
def test_a_callers_plan_is_refused(fleet, text, address, error):
    with pytest.raises(error):
        check_asked(placed(text, address), fleet, allowed=())


def test_a_callers_plan_may_name_configured_replicas_and_allowed_addresses(fleet):
    check_asked(placed("target <- draft", "draft:2"), fleet, allowed=())
    check_asked(placed("target <- mine", "edge:9"), fleet, allowed=["edge:*"])


def placed(text: str, address: str):
    """Return the outline with the address at its last drafter."""
    outline = parse_plan(text)
    if not address:
        return outline
    return replace(outline, drafters=(replace(outline.drafters[0], address=address),))


def test_a_part_is_found_by_its_path():
    plan = parse_plan("a <- [b <- d, c <- d]").plan()
    assert part_at(plan, ["a", "c", "d"]) is plan.drafters[1].drafters[0]
    assert part_at(plan, ["a", "x"]) is None
    assert part_at(plan, []) is None


async def test_a_tier_in_its_parents_processes_is_always_there_and_gets_room():
    fleet = Fleet(["target", "suffix"])
    fleet.set_addresses("suffix", [LOCAL])
    known = advice(learned("suffix", 2, confidence=0.9))
    assert fleet.local_tiers == {"suffix"}
    assert [one.state for one in fleet.ready("suffix")] == [ReplicaState.READY]
    plan = advised(parse_plan("target <- suffix"), known, kind="", local=fleet.local_tiers)
    assert print_plan(plan) == "target <- suffix:16"
    written = advised(parse_plan("target <- suffix:3"), known, kind="", local=fleet.local_tiers)
    assert print_plan(written) == "target <- suffix:3"
    root = Replica("target", "target:1", fleet.of("suffix")[0].channel)
    assert [part.address for part in addressed(plan, root, fleet).walk()] == ["target:1", LOCAL]
    await root.channel.close()
