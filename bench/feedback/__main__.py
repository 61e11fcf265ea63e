"""What feedback takes, and what a router's requests notice of it.

    python -m bench.feedback report [--seconds 20] [--clients 1 --clients 4] [--batch 64]
    python -m bench.feedback memory [--max-cells 4096]
    python -m bench.feedback away [--rounds 30] [--requests 40] [--pass-ms 3] [--tokens 16]

Feedback is a process of its own over the embedded Valkey; `away` has a router for each state of it,
which take turns request by request.
"""

from typing import Annotated

import typer

from bench.feedback import away as absence
from bench.feedback import memory as cells
from bench.feedback import throughput
from tiercel import rpc

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.command()
def report(
    seconds: Annotated[float, typer.Option(min=1, help="Of each number of clients.")] = 20.0,
    clients: Annotated[list[int], typer.Option(help="Clients at once; may be repeated.")] = [1, 4],  # noqa: B006
    batch: Annotated[int, typer.Option(min=1, max=256, help="Events of a call.")] = 64,
) -> None:
    """Print events a second, times of Report, and the time of an event in Redis."""
    for number in clients:
        print(rpc.run(throughput.measure(number, batch, seconds)))


@app.command()
def memory(
    max_cells: Annotated[int, typer.Option(min=16, help="Setting of feedback.")] = 4096,
) -> None:
    """Print the memory of cells, and its bound."""
    print(rpc.run(cells.measure(max_cells)))


@app.command()
def away(
    rounds: Annotated[int, typer.Option(min=2)] = 30,
    requests: Annotated[int, typer.Option(min=1, help="Of each router in a round.")] = 40,
    pass_ms: Annotated[float, typer.Option(help="Milliseconds of a pass.")] = 3.0,
    tokens: Annotated[int, typer.Option(min=1, help="Of an answer.")] = 16,
) -> None:
    """Print p50 and p99 of requests with feedback there and away, and ratios with their spread."""
    measured = rpc.run(absence.measure(rounds, requests, pass_ms / 1e3, tokens))
    print("\n".join(absence.lines(measured)))


if __name__ == "__main__":
    app()
