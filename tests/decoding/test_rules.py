"""The table of rules: what each needs and claims, and its name on the wire."""

import pytest

from tiercel.decoding import RULES, Claim, evidence_for, in_force, may_lie_below
from tiercel.errors import InvalidRequest
from tiercel.types import Acceptance, Evidence, Rule, SamplingParams
from tiercel.v1 import decoding_pb2 as pb
from tiercel.wire import plans

SAMPLED, GREEDY = SamplingParams(temperature=0.8), SamplingParams()
KEEPING = [Rule.REJECTION, Rule.BLOCK]


def test_every_rule_of_the_protocol_is_in_the_domain_and_back():
    names = set(pb.AcceptanceRule.keys()) - {"ACCEPTANCE_RULE_UNSPECIFIED"}
    assert names == {f"ACCEPTANCE_RULE_{rule.name}" for rule in Rule}
    for rule in Rule:
        number = plans.rule_to_pb(rule)
        assert pb.AcceptanceRule.Name(number) == f"ACCEPTANCE_RULE_{rule.name}"
        assert plans.acceptance_from_pb(pb.Acceptance(rule=number)) == Acceptance(rule)


def test_every_kind_of_evidence_of_the_protocol_is_in_the_domain_and_back():
    names = set(pb.DraftEvidence.keys()) - {"DRAFT_EVIDENCE_UNSPECIFIED"}
    assert names == {f"DRAFT_EVIDENCE_{kind.name}" for kind in Evidence}
    for kind in Evidence:
        assert plans.evidence_from_pb(plans.evidence_to_pb(kind)) is kind
    assert plans.evidence_from_pb(pb.DRAFT_EVIDENCE_UNSPECIFIED) is Evidence.NONE
    with pytest.raises(InvalidRequest, match="evidence=9"):
        plans.evidence_from_pb(9)


def test_an_acceptance_goes_round():
    for acceptance in (Acceptance(Rule.AGREEMENT, 0.25, 3), Acceptance(Rule.LENIENT, 0.0)):
        assert plans.acceptance_from_pb(plans.acceptance_to_pb(acceptance)) == acceptance
    assert not plans.acceptance_to_pb(Acceptance(Rule.LENIENT)).HasField("num_agreeing")
    with pytest.raises(InvalidRequest, match="num_agreeing=1"):
        plans.acceptance_from_pb(pb.Acceptance(rule=pb.ACCEPTANCE_RULE_AGREEMENT, num_agreeing=1))


def test_rules_that_divide_by_what_was_drawn_from_ask_for_it():
    dividing = [rule for rule in Rule if RULES[rule].evidence is Evidence.DISTRIBUTIONS]
    assert {rule.value for rule in dividing} == {
        "rejection",
        "block",
        "ensemble",
        "lenient",
        "cascade_chow",
        "cascade_diff",
        "cascade_opt",
        "cascade_token",
    }
    for rule in Rule:
        strictness = 0.5 if RULES[rule].claim is Claim.LOSSY else 1.0
        acceptance = Acceptance(rule, strictness)
        assert evidence_for(acceptance, SAMPLED) is RULES[rule].evidence
        # One token has all probability then, and nothing is drawn.
        assert evidence_for(acceptance, GREEDY) is not Evidence.DISTRIBUTIONS


def test_a_lossy_rule_at_strictness_one_is_exact_and_asks_for_nothing():
    for rule in Rule:
        if RULES[rule].claim is Claim.LOSSY:
            assert in_force(Acceptance(rule)) is Rule.EXACT
            assert evidence_for(Acceptance(rule), SAMPLED) is Evidence.NONE
            assert in_force(Acceptance(rule, 0.999)) is rule
        else:
            assert in_force(Acceptance(rule)) is rule


def test_only_what_is_exact_in_distribution_lies_below_a_rule_that_divides():
    for above in Rule:
        strictness = 0.5 if RULES[above].claim is Claim.LOSSY else 1.0
        divides = RULES[above].evidence is Evidence.DISTRIBUTIONS
        for inner in Rule:
            allowed = may_lie_below(Acceptance(inner), Acceptance(above, strictness))
            assert allowed == (not divides or inner in KEEPING)
    assert may_lie_below(Acceptance(Rule.TYPICAL, 0.1), Acceptance(Rule.LENIENT, 1.0))
