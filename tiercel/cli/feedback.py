"""`tiercel feedback`: what is learned, and what an operator does about it."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tiercel.cli import learned_tables, options
from tiercel.cli.output import Output
from tiercel.cli.rate import DEFAULT_FEEDBACK, TokenOption, read_token
from tiercel.cli.refused import refused
from tiercel.cli.running import run, tell_failures
from tiercel.clients.feedback import FeedbackClient
from tiercel.errors import InvalidRequest
from tiercel.learning import Change

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


@app.command()
def show(*, feedback: FeedbackOption = DEFAULT_FEEDBACK, json: options.JsonOption = False) -> None:
    """Show what is learned."""
    policy = run(_asked(feedback, None, FeedbackClient.policy))
    output = Output()
    if json:
        output.json(asdict(policy))
    else:
        learned_tables.show(output, policy)


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
        typer.Argument(help="pairs, tiers, strictness, qualities, trials, budget; else all."),
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


app.command()(refused)


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


def _change_row(change: Change) -> tuple[str, ...]:
    when = datetime.fromtimestamp(change.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(change.version), when, change.author, change.action, change.reason
