"""What can go wrong, as types. Knows no transport; `rpc` holds the table of status codes."""


class TiercelError(Exception):
    """The base of every error that Tiercel raises on purpose; its text is safe to show.

    Attributes that a caller in another process needs are set on the instance; they travel by name.
    """


class InvalidRequest(TiercelError):
    """A field of a request or a setting holds a value that cannot be honoured."""

    def __init__(self, field: str, value: object, why: str) -> None:
        shown = repr(value)
        if len(shown) > 120:  # of a path the end says the most
            shown = f"{shown[:40]}...{shown[-77:]}"
        super().__init__(f"{field}={shown}: {why}")
        self.field = field


class NotFound(TiercelError):
    """Something named in a request does not exist here: a tier, a decision, a pair."""


class ModelUnavailable(TiercelError):
    """A model cannot be loaded: bad name, missing file, unsupported architecture."""


class ModelFault(TiercelError):
    """A model gave what no model may give (NaN logits); ends this request, never the service."""


class TokenizerMismatch(TiercelError):
    """Two tiers would exchange token ids of different vocabularies."""


class PlanRefused(TiercelError):
    """A plan breaks a rule of composition: a cycle, too deep, an address not allowed."""


class Overloaded(TiercelError):
    """No room now; the caller may try again after `retry_after_s`."""

    def __init__(self, what: str, retry_after_s: float = 1.0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class Unavailable(TiercelError):
    """A peer cannot be reached, or is leaving."""


class DeadlineExceeded(TiercelError):
    """The time given for a request ran out."""


class Unidentified(TiercelError):
    """Who asks did not say who that is, in a way that can be believed."""


class Unsupported(TiercelError):
    """The request is well-formed, but this tier cannot do what it asks."""
