"""Trials of policies, as tables for people."""

from collections.abc import Sequence

from tiercel.cli.output import Output
from tiercel.cli.statistics import number
from tiercel.trials import Trial, TrialShadow

_TRIALS = ("policy", "instead of", ">share", ">requests", ">others", "state")
_COMPARISONS = ("policy", "worse in", ">on trial", ">incumbent", ">by at least", ">allowed")


def show(output: Output, trials: Sequence[Trial]) -> None:
    """Write how each trial stands, and what it rests on."""
    if not trials:
        return
    output.line()
    output.table("trials", _TRIALS, [_trial_row(trial) for trial in trials])
    rows = [
        (
            trial.policy,
            one.respect,
            number(one.trial, 3),
            number(one.incumbent, 3),
            number(one.excess, 3),
            number(one.allowed, 3),
        )
        for trial in trials
        for one in trial.comparisons
    ]
    if rows:
        output.line()
        output.table("trials compared", _COMPARISONS, rows)
    for trial in trials:
        if trial.shadow is not None:
            output.line()
            output.line(f"{trial.policy} in the shadow: {_seen(trial.shadow)}")


def _trial_row(trial: Trial) -> tuple[str, ...]:
    under_way = "goes on" if trial.share else "in the shadow"
    return (
        trial.policy,
        trial.incumbent,
        number(trial.share, 3),
        str(trial.num_requests),
        str(trial.num_incumbent),
        f"rolled back: {trial.reason}" if trial.rolled_back else under_way,
    )


def _seen(shadow: TrialShadow) -> str:
    text = f"odds of {shadow.agreement:.3f} for what was taken in {shadow.num_requests} requests"
    if not shadow.num_gains:
        return text
    return f"{text}; expected utility higher by {shadow.utility_gain:.4f}"
