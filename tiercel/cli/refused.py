"""`tiercel feedback refused`: what feedback would not learn from, and why; and sends it again."""

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli import options
from tiercel.cli.output import Output
from tiercel.cli.rate import DEFAULT_FEEDBACK, TokenOption, read_token
from tiercel.cli.running import FAILED, run, tell_failures
from tiercel.clients.feedback import FeedbackClient
from tiercel.dead_letters import FILE, DeadLetter, DeadLetters
from tiercel.errors import InvalidRequest


def refused(
    state_dir: Annotated[Path, typer.Argument(help="The router's state_dir.")],
    *,
    send_again: Annotated[
        bool, typer.Option("--send-again", help="Tell feedback again; what it takes is forgotten.")
    ] = False,
    feedback: Annotated[
        str,
        typer.Option(envvar="TIERCEL_FEEDBACK", metavar="HOST:PORT", help="Feedback's address."),
    ] = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
    json: options.JsonOption = False,
) -> None:
    """List the events of a router that feedback refused, and why; or send them again."""
    letters, output = DeadLetters(state_dir / FILE), Output()
    with tell_failures():
        lines = _lines(letters)
        token = read_token(token_file)
    if not send_again:
        _show(output, lines, json=json)
        return
    sent, left = run(_sent_again(letters, feedback, token))
    output.line(f"{sent} sent, {left} refused again")
    if left:
        raise typer.Exit(FAILED)


def _lines(letters: DeadLetters) -> list[str]:
    try:
        return letters.lines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest("state_dir", FILE, f"cannot be read: {error}") from None


def _show(output: Output, lines: Sequence[str], *, json: bool) -> None:
    """Write what was refused, oldest first."""
    rows = [row for line in lines for row in _rows(line)]
    if json:
        names = ("at", "event", "id", "problem")
        output.json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        output.table(f"{len(rows)} refused", ("when", "event", "id", "why"), rows)


def _rows(line: str) -> list[tuple[str, str, str, str]]:
    try:
        letter = DeadLetter.read(line)
    except InvalidRequest as error:
        return [("", "", "", str(error))]
    when = datetime.fromtimestamp(letter.at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return [(when, sort, name, letter.problem) for sort, name in letter.names]


async def _sent_again(letters: DeadLetters, address: str, token: str) -> tuple[int, int]:
    """Return how many lines feedback took, and how many it refused again, which stay on file.

    Raises TiercelError, with what was not sent on file, if feedback is away or believes us not.
    """
    client = FeedbackClient(address, token=token)
    num_lines = num_left = 0
    try:
        with closing(letters.taken()) as files:
            for lines in files:
                num_lines += len(lines)
                num_left += await _told(client, lines, letters)
    finally:
        await client.close()
    return num_lines - num_left, num_left


async def _told(client: FeedbackClient, lines: Sequence[str], letters: DeadLetters) -> int:
    """Tell feedback of each; return how many it refused. Those, and untold ones, are given back."""
    untold, refused = deque(lines), list[str]()
    try:
        while untold:
            refused += await _refused_again(client, untold[0])
            untold.popleft()
    finally:
        letters.give_back([*refused, *untold])
    return len(refused)


async def _refused_again(client: FeedbackClient, line: str) -> list[str]:
    """Return the line with the reason of now, nothing if it was taken."""
    try:
        letter = DeadLetter.read(line)
    except InvalidRequest:
        return [line]
    try:
        await client.report(letter.events())
    except InvalidRequest as error:
        return [letter.again(str(error))]
    return []
