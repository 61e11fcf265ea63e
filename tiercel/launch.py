"""The start of every service's process: settings, logs, metrics, serve; one line if it cannot."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from tiercel import config, rpc, telemetry
from tiercel.errors import TiercelError

S = TypeVar("S", bound=config.Settings)


def launch(
    name: str,
    settings_class: type[S],
    opening: Callable[[S], AbstractAsyncContextManager[rpc.Service]],
) -> None:
    """Serve what `opening` opens until told to stop; exits with status 2 if it cannot start."""
    settings = config.load(settings_class)
    telemetry.configure(level=settings.log_level, json=settings.log_json)
    try:
        telemetry.serve_metrics(settings.metrics_address)
        rpc.run(
            rpc.serve(
                opening(settings),
                settings.address,
                grace_s=settings.grace_s,
                reflect=settings.reflection,
            )
        )
    except (TiercelError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
