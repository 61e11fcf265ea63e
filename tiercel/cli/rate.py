"""`tiercel rate`: somebody's judgement of an answer, told to feedback."""

import uuid
from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.running import run
from tiercel.clients.feedback import FeedbackClient
from tiercel.config import read_secret
from tiercel.learning import Rating

DEFAULT_FEEDBACK = "localhost:50070"

TokenOption = Annotated[
    Path | None,
    typer.Option(
        envvar="TIERCEL_TOKEN_FILE",
        help="File of the token that says who you are, where feedback asks for one.",
    ),
]


def rate(
    decision_id: Annotated[str, typer.Argument(help="The decision behind the answer.")],
    score: Annotated[float, typer.Argument(min=0.0, max=1.0, help="From 0 to 1, the best.")],
    *,
    rater: Annotated[str, typer.Option(help="Who says so.")] = "tiercel rate",
    feedback: Annotated[
        str,
        typer.Option(envvar="TIERCEL_FEEDBACK", metavar="HOST:PORT", help="Feedback's address."),
    ] = DEFAULT_FEEDBACK,
    token_file: TokenOption = None,
) -> None:
    """Rate an answer; its decision id is in what generate --json writes."""
    run(_rate(feedback, token_file, Rating(uuid.uuid4().hex, decision_id, score, rater)))


async def _rate(address: str, token_file: Path | None, rating: Rating) -> None:
    client = FeedbackClient(address, token=read_token(token_file))
    try:
        await client.rate(rating)
    finally:
        await client.close()


def read_token(file: Path | None) -> str:
    """Return the token in a file, "" without one; raises InvalidRequest."""
    return read_secret("token_file", file) if file else ""
