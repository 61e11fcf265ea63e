"""Opens what answers for a column: tiers of a configuration, run inside this process."""

from dataclasses import dataclass, replace

from tiercel.decoding import CosdTree, in_force
from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.evaluation.chain_decoding import ChainDecoder
from tiercel.evaluation.chain_level import ChainTier
from tiercel.evaluation.column import Column
from tiercel.evaluation.generation import ColumnDecoder, TierDecoder
from tiercel.evaluation.loaded_tiers import LoadedTier, LoadedTiers
from tiercel.evaluation.matrix import TierIdentity
from tiercel.plan_text import Outline
from tiercel.rules import check_rules
from tiercel.tiers import Configuration
from tiercel.types import Plan, Rule


@dataclass(frozen=True)
class OpenColumn:
    """What decodes a column, and what the matrix keeps of its tiers."""

    decoder: ColumnDecoder
    tiers: dict[str, TierIdentity]


def tiers_alone(configuration: Configuration) -> list[Column]:
    """Return a column for each tier with a model, alone and greedy, in the file's order."""
    alone = (name for name, tier in configuration.tiers.items() if tier.service == "verifier")
    return [Column(Outline(name)) for name in alone]


class ColumnOpener:
    """Opens columns one at a time: the models of the last one are kept until others are needed."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        batch: int,
        threads: int,
        ladder: list[Column] | None = None,
        keeps_evidence: bool = True,
    ) -> None:
        """Open columns of these tiers; the `ladder` is what the pilot compares, by default all.

        Where evidence is not kept, tiers alone answer without it.
        """
        self._keeps_evidence = keeps_evidence
        self.ladder = tiers_alone(configuration) if ladder is None else ladder
        self._tiers, self._batch = LoadedTiers(configuration, threads=threads), batch

    def open(self, column: Column) -> OpenColumn:
        """Return what answers for a column.

        Raises InvalidRequest, PlanRefused or TokenizerMismatch for one that is not collected, and
        ModelUnavailable.
        """
        if column.votes > 1:
            raise InvalidRequest("column", str(column), "is counted from samples, not decoded")
        plans = chain_of(column)
        tiers = self._tiers.get(plan.tier for plan in plans)
        identities = {tier.name: tier.identity for tier in tiers}
        root = tiers[0]
        if column.is_one_tier:
            decoder = TierDecoder(
                root.name,
                root.model,
                root.tokenizer,
                self._batch,
                keeps_evidence=self._keeps_evidence,
            )
            return OpenColumn(decoder, identities)
        for tier in tiers[1:]:
            if tier.tokenizer.fingerprint != root.tokenizer.fingerprint:
                raise TokenizerMismatch(f"{tier.name} has another tokenizer than {root.name}")
        chain = [_chain_tier(tier, plan) for tier, plan in zip(tiers, plans, strict=True)]
        return OpenColumn(ChainDecoder(chain, root.tokenizer, self._batch), identities)

    def close(self) -> None:
        """Give back the models that are loaded."""
        self._tiers.close()


def chain_of(column: Column) -> list[Plan]:
    """Return the plan's tiers, the root first, by its rule.

    Raises as `ColumnOpener.open` does for a plan that no column is decoded by.
    """
    plan = replace(column.plan.plan(), acceptance=column.acceptance)
    check_rules(plan)
    plans = list(plan.walk())
    rules = [in_force(each.acceptance) for each in plans]
    are_alike = rules[0] is Rule.EXACT
    refusals = (
        (column.plan.acceptance is not None, "the root's rule is written behind, as rule=lenient"),
        (bool(plan.drafters) and are_alike, f"its answers are those of {plan.tier} alone"),
        (not plan.drafters and not are_alike, "a rule judges drafts: there is no drafter"),
        (any(len(each.drafters) > 1 for each in plans), "a column has one drafter for each tier"),
        (any(each.draft_confidence for each in plans), "blocks are whole, whatever the confidence"),
        (Rule.AGREEMENT in rules, "agreement takes several drafters"),
    )
    for is_refused, why in refusals:
        if is_refused:
            raise InvalidRequest("column", str(column), why)
    return plans


def _chain_tier(tier: LoadedTier, plan: Plan) -> ChainTier:
    path = str(tier.settings.settings.get("cosd_tree", ""))
    needs_tree = in_force(plan.acceptance) is Rule.COSD_TREE
    if needs_tree and not path:
        raise InvalidRequest("cosd_tree", path, f"{tier.name} has no decision tree in its settings")
    return ChainTier(
        tier.name,
        tier.model,
        tier.vocabulary,
        plan.acceptance,
        plan.num_speculative_tokens,
        CosdTree.load(path) if needs_tree else None,
    )
