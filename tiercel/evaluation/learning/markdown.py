"""The report as Markdown: what was reached and what was not, everything made up called so."""

from collections.abc import Iterator, Sequence
from math import isfinite

from tiercel.evaluation.frontier.markdown_cells import interval, table
from tiercel.evaluation.learning.coverage import Coverage
from tiercel.evaluation.learning.drafters import DraftingResult
from tiercel.evaluation.learning.experiment import Report, Sweep
from tiercel.evaluation.learning.measures import Recovery
from tiercel.evaluation.learning.replay import ALL
from tiercel.evaluation.learning.scenarios import Result


def markdown(report: Report, figures: Sequence[str]) -> str:
    """Return the report; `figures` are file names to show at its end."""
    parts = [
        _head(report),
        _regret(report),
        _changes(report),
        _half_lives(report.half_lives),
        _drafting(report),
        _coverage(report),
        (f"![{name}]({name})\n" for name in figures),
    ]
    return "\n".join(line for part in parts for line in part) + "\n"


def requests(one: Recovery) -> str:
    """Return how many requests it took, with the interval over streams."""

    def text(value: int | None) -> str:
        return "never" if value is None else str(value)

    return f"{text(one.requests)} ({text(one.low)} to {text(one.high)})"


def _head(report: Report) -> Iterator[str]:
    numbers = report.settings
    yield f"# Replay of online learners: {report.name}\n"
    yield (
        f"{report.num_prompts} prompts, drawn with replacement: {numbers['streams']:g} streams of"
        f" {numbers['requests_before_change']:g} requests and"
        f" {numbers['requests_after_change']:g} after a change. Scores and costs are recorded;"
        " every change, every drift, and whatever says so is **synthetic**. Half-life of ratings"
        f" {_half_life(numbers['half_life_requests'])}, restarts at"
        f" {numbers['run_length_ratings']:g} (0: none), a snapshot each"
        f" {numbers['refresh_requests']:g} requests. Predictors were fitted on other prompts.\n"
    )
    made = report.made_with
    changed = " with changes" if made.has_changes else ""
    yield f"Made at {made.git_sha or 'an unknown commit'}{changed}. Data:"
    yield from (f"`{name}` {digest}" for name, digest in report.sources.items())
    yield ""


def _regret(report: Report) -> Iterator[str]:
    yield "## Regret, nothing changes\n"
    head = ("learner", "feedback", ">over the best static", ">over the oracle", ">mean utility")
    rows = [
        (
            one.learner,
            one.feedback,
            interval(one.regret.over_static, digits=1),
            interval(one.regret.over_oracle, digits=1),
            interval(one.regret.mean_utility),
        )
        for one in report.results
        if one.recovery is None
    ]
    yield from table(head, rows)
    yield ""


def _changes(report: Report) -> Iterator[str]:
    goal = f"(goal {report.goal}), synthetic changes"
    yield f"## Requests until within 5 % of the best policy {goal}\n"
    for scenario, change in report.changes.items():
        own = [one for one in report.results if one.scenario == scenario and one.recovery]
        if own:
            yield f"### {scenario}: {change}\n"
            yield from _recoveries(own, report.goal)
            yield ""


def _recoveries(results: Sequence[Result], goal: int) -> Iterator[str]:
    head = ("learner", "feedback", ">requests", ">reached", ">worst", ">in the end", ">regret")
    rows = [
        (
            one.learner,
            one.feedback,
            requests(one.recovery),
            "yes" if one.recovery.is_within(goal) else "no",
            f"{one.recovery.worst_shortfall:.1%}",
            f"{one.recovery.last_shortfall:.1%}",
            interval(one.regret.over_static, digits=0),
        )
        for one in results
        if one.recovery is not None
    ]
    yield from table(head, rows)


def _half_lives(sweeps: Sequence[Sweep]) -> Iterator[str]:
    yield "## Forgetting: half-lives, and restarts where a change is seen\n"
    head = (
        "learner",
        ">restarts at",
        ">half-life",
        ">regret, steady",
        ">back after a drop",
        ">the same, 5 % rated",
    )
    rows = [
        (
            one.learner,
            f"{one.run_length:g}" if one.run_length else "never",
            _half_life(one.half_life),
            interval(one.steady.regret.over_static, digits=0),
            _known(one.drop),
            _known(one.drop_rarely_rated),
        )
        for one in sweeps
    ]
    yield from table(head, rows)
    yield ""


def _half_life(requests: float) -> str:
    return f"{requests:g} requests" if isfinite(requests) else "none"


def _known(result: Result) -> str:
    return "" if result.recovery is None else requests(result.recovery)


def _drafting(report: Report) -> Iterator[str]:
    if not report.drafting:
        return
    made_up = any(one.is_synthetic for one in report.drafting)
    yield f"## A new drafter{', synthetic acceptance' if made_up else ''}\n"
    head = (">idle drafters scored", "outcomes", ">requests", ">reached", ">in the end")
    yield from table(head, [_draft_row(one, report.goal) for one in report.drafting])
    yield ""


def _draft_row(one: DraftingResult, goal: int) -> tuple[str, ...]:
    feedback = one.feedback if one.feedback == ALL.name else one.feedback.replace("rated", "told")
    reached = "yes" if one.recovery.is_within(goal) else "no"
    end = f"{one.recovery.last_shortfall:.1%}"
    return f"{one.scored_share:.0%}", feedback, requests(one.recovery), reached, end


def _coverage(report: Report) -> Iterator[str]:
    numbers = report.settings
    yield f"## Harm at most {numbers['epsilon']:g}, {numbers['runs_of_a_rule']:g} runs each\n"
    head = (
        "rule",
        ">audited",
        ">drift at",
        ">certified",
        ">wrongly",
        ">ever above",
        ">requests above",
        ">withdrawn for nothing",
        ">withdrawn after drift",
        ">median, 90 %",
    )
    yield from table(head, [_coverage_row(one) for one in report.coverage])
    yield ""
    yield (
        f"Drift (synthetic): harm is {numbers['drift_of_harm']:g} times as likely, divergence as"
        f" before, for {numbers['requests_after_drift']:g} requests. All columns before the last"
        " two are of the time before it, those two of runs whose harm is then at least twice"
        " epsilon.\n"
    )
    yield f"A level whose true harm is {report.naive_harm:g} is certified by:\n"
    rows = [(name, f"{share:.3f}") for name, share in report.naive.items()]
    yield from table(("method", ">share of runs"), rows)
    yield ""


def _coverage_row(one: Coverage) -> tuple[str, ...]:
    late = one.withdrawal
    share = f"{late.within_run:.0%} of {late.num_runs}" if late.num_runs else ""
    times = (f"{value:.0f}" if isfinite(value) else "never" for value in (late.median, late.ninety))
    return (
        one.curve,
        f"{one.running_share:.0%}",
        str(one.drift_at),
        interval(one.certified, digits=2),
        interval(one.wrongly),
        interval(one.ever_above),
        f"{one.requests_above:.2%}",
        f"{one.withdrawn.mean:.1%}",
        share,
        ", ".join(times) if late.num_runs else "",
    )
