"""`tiercel feedback`: what is learned, and what an operator does about it."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tiercel.cli import options
from tiercel.cli.output import Output
from tiercel.cli.rate import DEFAULT_FEEDBACK, TokenOption, read_token
from tiercel.cli.running import run, tell_failures
from tiercel.cli.statistics import number
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest
from tiercel.learning import (
    Change,
    LearnedPolicy,
    PairPolicy,
    RootQuality,
    StrictnessPolicy,
    TierPolicy,
)

T = TypeVar("T")

app = typer.Typer(
    name="feedback",
    help="See, freeze, roll back, forget and carry over what is learned.",
    no_args_is_help=True,
)

FeedbackOption = Annotated[
    str,
    typer.Option(envvar="TIERCEL_FEEDBACK", metavar="HOST:PORT", help="Feedback's address."),
]
ReasonOption = Annotated[str, typer.Option(help="Why, for the history.")]

_PAIRS = ("drafter", "verifier", "kind", ">tokens", ">acceptance", ">judged")
_STRICTNESS = (
    *("rule", "kind", ">strictness", "certified"),
    *(">divergence", ">aim", ">audits", ">harm at most"),
)
_TIERS = ("tier", ">open requests", ">pass ms", ">first token ms", ">of 95 %", ">requests")
_QUALITIES = ("root", "kind", ">score", ">from", ">to", ">ratings")


@app.command()
def show(*, feedback: FeedbackOption = DEFAULT_FEEDBACK, json: options.JsonOption = False) -> None:
    """Show what is learned."""
    policy = run(_asked(feedback, None, FeedbackClient.policy))
    output = Output()
    if json:
        output.json(asdict(policy))
    else:
        _show(output, policy)


@app.command()
def history(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many changes.")] = 20,
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    json: options.JsonOption = False,
) -> None:
    """Show who or what changed it as a whole, newest first; these versions can be put back."""
    changes = run(_asked(feedback, None, lambda client: client.history(limit)))
    output = Output()
    if json:
        output.json([asdict(change) for change in changes])
        return
    columns = (">version", "when", "who", "what", "why")
    output.table(f"changes at {feedback}", columns, [_change_row(change) for change in changes])


@app.command()
def freeze(
    *,
    reason: ReasonOption = "",
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Learn no further; what is learned stays in force."""
    _tell(feedback, token_file, lambda client: client.freeze(frozen=True, reason=reason))


@app.command()
def thaw(
    *,
    reason: ReasonOption = "",
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Learn again."""
    _tell(feedback, token_file, lambda client: client.freeze(frozen=False, reason=reason))


@app.command()
def rollback(
    version: Annotated[int, typer.Argument(min=0, help="One that the history names.")],
    *,
    reason: ReasonOption = "",
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Put back what was learned at an earlier version."""
    _tell(feedback, token_file, lambda client: client.roll_back(version, reason=reason))


@app.command()
def reset(
    what: Annotated[
        str,
        typer.Argument(help="pairs, tiers, strictness or qualities; without it everything."),
    ] = "",
    *,
    reason: ReasonOption = "",
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Forget what is learned; it can be rolled back."""
    _tell(feedback, token_file, lambda client: client.reset(what, reason=reason))


@app.command("export")
def export_all(
    *, feedback: FeedbackOption = DEFAULT_FEEDBACK, token_file: TokenOption = None
) -> None:
    """Write all that is learned to standard output, as JSON lines."""
    run(_asked(feedback, token_file, _export))


@app.command("import")
def import_all(
    file: Annotated[Path, typer.Argument(help="What `tiercel feedback export` wrote.")],
    *,
    feedback: FeedbackOption = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Have an export take the place of all that is learned; it can be rolled back."""
    with tell_failures():
        data = _read(file).encode()
    _tell(feedback, token_file, lambda client: client.restore(data))


def _tell(
    address: str, token_file: Path | None, call: Callable[[FeedbackClient], Awaitable[int]]
) -> None:
    """Do what is asked, and write the version that it made."""
    Output().line(f"version {run(_asked(address, token_file, call))}")


async def _asked(
    address: str, token_file: Path | None, call: Callable[[FeedbackClient], Awaitable[T]]
) -> T:
    client = FeedbackClient(address, token=read_token(token_file))
    try:
        return await call(client)
    finally:
        await client.close()


async def _export(client: FeedbackClient) -> None:
    async for piece in client.export():
        sys.stdout.write(piece.decode())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest("file", str(path), f"cannot be read: {error}") from None


def _show(output: Output, policy: LearnedPolicy) -> None:
    state = f"frozen: {policy.frozen_reason or 'no reason given'}" if policy.frozen else "learning"
    output.line(f"version {policy.version} of epoch {policy.epoch}, {state}")
    for title, columns, rows in (
        ("drafters", _PAIRS, [_pair_row(one) for one in policy.pairs]),
        ("strictness", _STRICTNESS, [_strictness_row(one) for one in policy.strictness]),
        ("speed", _TIERS, [_tier_row(one) for one in policy.tiers]),
        ("ratings", _QUALITIES, [_quality_row(one) for one in policy.qualities]),
    ):
        if rows:
            output.line()
            output.table(title, columns, rows)


def _pair_row(pair: PairPolicy) -> tuple[str, ...]:
    return (
        pair.drafter,
        pair.verifier,
        pair.kind,
        str(pair.num_speculative_tokens),
        number(pair.acceptance_rate, 3),
        str(pair.num_judged_tokens),
    )


def _strictness_row(one: StrictnessPolicy) -> tuple[str, ...]:
    return (
        one.rule.value,
        one.kind,
        number(one.strictness, 3),
        "yes" if one.certified else "no",
        number(one.divergence, 4),
        number(one.target_divergence, 4),
        str(one.num_audits),
        number(one.harm_bound, 3),
    )


def _tier_row(one: TierPolicy) -> tuple[str, ...]:
    return (
        one.tier,
        f"from {one.min_outstanding}",
        number(1000 * one.pass_s, 1),
        number(1000 * one.first_token_p50_s, 0),
        number(1000 * one.first_token_p95_s, 0),
        str(one.num_requests),
    )


def _quality_row(one: RootQuality) -> tuple[str, ...]:
    interval = (number(one.lower, 2), number(one.upper, 2))
    return one.root, one.kind, number(one.mean, 2), *interval, number(one.num_ratings, 1)


def _change_row(change: Change) -> tuple[str, ...]:
    when = datetime.fromtimestamp(change.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(change.version), when, change.author, change.action, change.reason
