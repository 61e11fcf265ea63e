"""Logs and metrics: structlog lines on stderr, Prometheus counters under vLLM's names."""

import logging
import sys

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

num_drafts = Counter("spec_decode_num_drafts", "Draft blocks verified", ["tier", "drafter"])
num_draft_tokens_total = Counter(
    "spec_decode_num_draft_tokens", "Tokens in verified draft blocks", ["tier", "drafter"]
)
num_accepted_tokens = Counter(
    "spec_decode_num_accepted_tokens", "Draft tokens accepted", ["tier", "drafter"]
)
num_accepted_tokens_per_pos = Counter(
    "spec_decode_num_accepted_tokens_per_pos",
    "Draft tokens accepted by place in the block",
    ["tier", "drafter", "position"],
)
num_guessed_tokens = Counter(
    "tiercel_guessed_tokens",
    "Tokens drafted without a model and judged by the parent, by what guessed them",
    ["tier", "source", "fate"],
)
num_compared_positions = Counter(
    "tiercel_compared_positions",
    "Places at which a drafter's distribution was compared with its parent's",
    ["tier", "drafter"],
)
sum_total_variation = Counter(
    "tiercel_total_variation",
    "Sum over these places of the total variation of the two distributions",
    ["tier", "drafter"],
)
num_compared_tokens = Counter(
    "tiercel_compared_tokens",
    "Tokens of answers that were compared with what EXACT gives in their places",
    ["tier", "rule"],
)
num_divergent_tokens = Counter(
    "tiercel_divergent_tokens", "Of these, the ones that EXACT would have refused", ["tier", "rule"]
)
num_unjudged_tokens = Counter(
    "tiercel_unjudged_tokens", "Tokens that stand without the target's judgement", ["tier", "rule"]
)
num_sessions = Gauge("tiercel_sessions", "Sessions open now", ["tier"])
num_requests = Counter("tiercel_requests", "Requests ended", ["tier", "reason"])
time_to_first_token = Histogram(
    "tiercel_time_to_first_token_seconds", "Open to first committed token", ["tier"]
)


def count_draft(tier: str, drafter: str, *, num_draft_tokens: int, num_accepted: int) -> None:
    """Count one block of `drafter`'s that `tier` verified."""
    num_drafts.labels(tier, drafter).inc()
    num_draft_tokens_total.labels(tier, drafter).inc(num_draft_tokens)
    num_accepted_tokens.labels(tier, drafter).inc(num_accepted)
    for position in range(num_accepted):
        num_accepted_tokens_per_pos.labels(tier, drafter, str(position)).inc()


def count_likeness(tier: str, drafter: str, *, num_compared: int, total_variation: float) -> None:
    """Count places where `drafter`'s distribution was compared with `tier`'s."""
    num_compared_positions.labels(tier, drafter).inc(num_compared)
    sum_total_variation.labels(tier, drafter).inc(total_variation)


def count_rule(
    tier: str, rule: str, *, num_compared: int, num_divergent: int, num_unjudged: int
) -> None:
    """Count what a rule at the root did, beside what EXACT would have done."""
    num_compared_tokens.labels(tier, rule).inc(num_compared)
    num_divergent_tokens.labels(tier, rule).inc(num_divergent)
    num_unjudged_tokens.labels(tier, rule).inc(num_unjudged)


def count_guesses(tier: str, source: str, fate: str, number: int) -> None:
    """Count guesses of `source` that the parent of `tier` judged; fate is accepted or rejected."""
    num_guessed_tokens.labels(tier, source, fate).inc(number)


def configure(*, level: str, json: bool) -> None:
    """Send structured log lines of `level` and above to stderr."""
    renderer = (
        structlog.processors.JSONRenderer()
        if json
        # A traceback with local variables would put prompts into the log.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def serve_metrics(address: str) -> None:
    """Serve the metrics over HTTP on `address`; an empty one serves nothing."""
    if not address:
        return
    host, _, port = address.rpartition(":")
    start_http_server(int(port), addr=host or "localhost")
