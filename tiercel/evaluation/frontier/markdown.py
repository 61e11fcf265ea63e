"""A report as Markdown: tables that say what was reached, with intervals."""

from collections.abc import Iterator, Sequence

from tiercel.evaluation.frontier.contenders import BANDIT, ORACLE, RIDGE, STATIC, UTILITY
from tiercel.evaluation.frontier.experiment import Report
from tiercel.evaluation.frontier.figures import Comparison, ContenderFigures, names_of
from tiercel.evaluation.frontier.markdown_cells import interval, median, number, table


def markdown(report: Report, figures: Sequence[str] = ()) -> str:
    """Return the text of a report; `figures` are paths of images, as seen from the text."""
    parts = [
        [f"# Frontier: {report.name}", "", *_about(report)],
        ["## Plans", "", *_plans(report)],
        ["## Gap closed", "", *_comparison(report.everything)],
        [f"![{_title(path)}]({path})\n" for path in figures],
        ["## At equal cost, at equal quality", "", *_operating(report.everything)],
        _strong_calls(report.everything),
        ["## By kind", "", *_kinds(report)],
        _left_out(report),
        _lossiness(report),
        ["## Predictions", "", *_predictions(report)],
        _luck(report),
        _ablations(report),
        ["## Made with", "", *_made_with(report)],
    ]
    return "\n".join("\n".join([*part, ""]) for part in parts if part)


def _about(report: Report) -> Iterator[str]:
    everything, references = report.everything, report.everything.references
    yield (
        f"{everything.num_prompts} prompts in {everything.num_groups} groups of near duplicates, "
        f"costs in {report.cost_unit}, {report.overhead:g} of them for each decision. "
        "Five folds: each prompt is tested once, by what never saw its group."
    )
    yield ""
    yield (
        f"Areas lie above quality {references.quality:.4f}, that of the cheapest plan, between its "
        f"cost {references.cost_low:.4g} and that of the best plan, {references.cost_high:.4g}. "
        "Intervals are of 95 %, from 2,000 resamples of groups, all contenders together. The "
        "oracle knows every score: luck too."
    )


def _plans(report: Report) -> Iterator[str]:
    rows = [
        (one.name, "lossy" if one.is_lossy else "", f"{one.score:.4f}", f"{one.cost:.4g}")
        for one in report.plans
    ]
    return table(("plan", "", ">score", ">cost"), rows)


def _comparison(comparison: Comparison) -> Iterator[str]:
    head = (
        "contender",
        ">gap closed",
        ">area over static",
        ">the same from quality 0",
        ">quality at its best point, over static",
        ">AIQ",
        ">APGR",
        ">CPT 50 / 80 %",
    )
    yield from table(head, map(_row, _ordered(comparison)))
    yield ""
    yield (
        f"An area 25 % over static would close {comparison.equivalent_gap:.3f} of the gap. Whoever "
        "has no cheap setting has no area to the left of its points: such contenders are to be "
        "judged at their best point."
    )


def _row(one: ContenderFigures) -> Sequence[str]:
    calls = one.strong_calls
    return (
        one.name,
        interval(one.gap_closed),
        interval(one.area_gain, percent=True),
        interval(one.area_gain_from_zero, percent=True),
        interval(one.gain_at_best, digits=4),
        f"{one.average_improvement:.4f}",
        f"{calls.average_recovered:.3f}" if calls else "",
        " / ".join(f"{value:.0%}" for value in calls.calls_for.values()) if calls else "",
    )


def _operating(comparison: Comparison) -> Iterator[str]:
    costs = [f"{cost:.3g}" for cost in comparison.operating_costs]
    qualities = [f"{quality:.3f}" for quality in comparison.operating_qualities]
    head = (
        "contender",
        *(f">quality at cost {cost}, over static" for cost in costs),
        *(f">cost saved at quality {quality}" for quality in qualities),
        *(f">quality at cost {cost}, relative to {BANDIT}" for cost in costs),
    )
    rows = [
        (
            one.name,
            *(interval(each, digits=4) for each in one.quality_gains),
            *(interval(each, percent=True) for each in one.cost_savings),
            *(interval(each, percent=True) for each in one.over_bandit),
        )
        for one in _ordered(comparison)
        if one.name != STATIC
    ]
    return table(head, rows)


def _strong_calls(comparison: Comparison) -> list[str]:
    if all(one.strong_calls is None for one in comparison.contenders):
        return []
    return [
        "APGR and CPT are of the share of calls that the dear plan gets, as RouteLLM counts; a "
        "random choice has 0.5, 50 % and 80 %. AIQ is RouterBench's, over the same costs for all."
    ]


def _kinds(report: Report) -> Iterator[str]:
    head = ("kind", ">prompts", f">gap closed by {UTILITY}", ">area over static", ">p (Holm)")
    rows = [
        (
            kind,
            str(one.num_prompts),
            interval(one.of(UTILITY).gap_closed),
            interval(one.of(UTILITY).area_gain, percent=True),
            f"{report.chances_of_none[kind]:.4f}",
        )
        for kind, one in report.by_kind.items()
    ]
    yield from table(head, rows)
    for kind, why in report.not_routed.items():
        yield f"\n{kind}: {why}, nothing to route."


def _left_out(report: Report) -> list[str]:
    if report.left_out is None:
        return []
    rows = [(name, interval(report.left_out.of(name).gap_closed)) for name in (UTILITY, RIDGE)]
    text = "Each data set is tested by what has never seen a prompt of it."
    head = ("contender", ">gap closed")
    return ["## Data sets left out", "", text, "", *table(head, rows)]


def _lossiness(report: Report) -> list[str]:
    split = report.lossiness
    if split is None:
        return []
    rows = [
        (name, interval(one.of(UTILITY).gap_closed), interval(one.of(ORACLE).area, digits=4))
        for name, one in (("roots alone", split.roots), ("lossy plans too", split.everything))
    ]
    head = ("plans", f">gap closed by {UTILITY}", ">area of the oracle")
    return ["## Roots and lossiness", "", *table(head, rows)]


def _predictions(report: Report) -> Iterator[str]:
    head = (
        "known",
        "plan",
        ">AUROC within kind, median",
        ">ECE",
        ">Brier skill over data set means",
        ">R2",
        ">R2 at most",
    )
    rows = [
        (
            one.knowledge,
            plan.plan,
            number(median(list(plan.auroc_by_kind.values()))),
            number(plan.calibration_error),
            number(plan.brier_skill),
            number(plan.explained),
            number(plan.explainable),
        )
        for one in report.predictions
        for plan in one.plans
    ]
    yield from table(head, rows)
    yield ""
    for one in report.predictions:
        yield (
            f"From {one.knowledge}: median AUROC {number(one.median_auroc_within_kind)} over all "
            f"plans and kinds, mean ECE {number(one.calibration_error)}."
        )


def _luck(report: Report) -> list[str]:
    one = report.luck
    if one is None:
        return []
    return [
        "## Luck",
        "",
        f"On {one.num_prompts} prompts with {one.num_samples} samples of every plan, "
        f"{one.share_of_luck:.0%} of what an oracle wins is luck. To the oracle that picks by the "
        f"other samples {UTILITY} closes {interval(one.gap_closed)} of the gap, to the lucky one "
        f"{interval(one.gap_closed_to_lucky)}.",
    ]


def _ablations(report: Report) -> list[str]:
    if not report.ablations:
        return []
    head = ("router", ">gap closed", ">lost against the whole")
    rows = [(one.name, interval(one.gap_closed), interval(one.loss)) for one in report.ablations]
    return ["## Ablations", "", *table(head, rows)]


def _made_with(report: Report) -> Iterator[str]:
    made = report.made_with
    changed = ", with changes" if made.has_changes else ""
    yield f"Commit {made.git_sha or 'unknown'}{changed}; seed {report.seed}; Python {made.python};"
    yield ", ".join(f"{name} {one}" for name, one in made.versions.items()) + f"; {made.cpu}."
    yield ""
    yield from table(("data", "sha256"), report.sources.items())


def _ordered(comparison: Comparison) -> list[ContenderFigures]:
    return [comparison.of(name) for name in (*names_of(comparison), STATIC, ORACLE)]


def _title(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".png").replace("-", " ")
