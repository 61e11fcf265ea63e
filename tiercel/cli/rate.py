"""`tiercel rate`: somebody's judgement of an answer, told to feedback."""

import uuid
from typing import Annotated

import typer

from tiercel.cli.running import run
from tiercel.clients.feedback import FeedbackClient
from tiercel.learning import Rating

DEFAULT_FEEDBACK = "localhost:50070"


def rate(
    decision_id: Annotated[str, typer.Argument(help="The decision behind the answer.")],
    score: Annotated[float, typer.Argument(min=0.0, max=1.0, help="From 0 to 1, the best.")],
    *,
    rater: Annotated[str, typer.Option(help="Who says so.")] = "tiercel rate",
    feedback: Annotated[
        str,
        typer.Option(envvar="TIERCEL_FEEDBACK", metavar="HOST:PORT", help="Feedback's address."),
    ] = DEFAULT_FEEDBACK,
) -> None:
    """Rate an answer; its decision id is in what generate --json writes."""
    run(_rate(feedback, Rating(uuid.uuid4().hex, decision_id, score, rater)))


async def _rate(address: str, rating: Rating) -> None:
    client = FeedbackClient(address)
    try:
        await client.rate(rating)
    finally:
        await client.close()
