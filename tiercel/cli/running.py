"""Runs a command; a failure that was foreseen is one line and an exit status."""

import asyncio
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import typer

from tiercel.errors import Overloaded, TiercelError

T = TypeVar("T")

FAILED, INTERRUPTED = 1, 130


def run(command: Coroutine[Any, Any, T]) -> T:
    """Run `command` to its end; a failure that was foreseen ends the process with a line."""
    with tell_failures():
        return asyncio.run(command)


@contextmanager
def tell_failures() -> Iterator[None]:
    """End the process, with one line on standard error, when the body fails as was foreseen."""
    try:
        yield
    except TiercelError as error:
        fail(describe(error))
    except BrokenPipeError:  # the reader of a pipe has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(FAILED) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None


def fail(why: str) -> NoReturn:
    """End the process with one line."""
    typer.echo(f"tiercel: {why}", err=True)
    raise typer.Exit(FAILED)


def describe(error: TiercelError) -> str:
    """Return the error as one line."""
    line = " ".join(str(error).split())
    if isinstance(error, Overloaded):
        line += f" (try again in {error.retry_after_s:g} s)"
    return line
