"""Shows an answer while it streams; each tier has its colour, or its mark in a pipe."""

from tiercel.cli.answer import Piece, joined
from tiercel.cli.output import Output
from tiercel.types import Plan

# By place in the plan, the root first: its own tokens stand out least.
_STYLES = ("default", "green", "yellow", "magenta", "cyan", "blue", "red", "bright_green")


class Painter:
    """Writes text, plain or with the tier of every token."""

    def __init__(self, output: Output, *, provenance: bool) -> None:
        self._output = output
        self._provenance = provenance
        self._styles: dict[str, str] = {}
        self._tier = ""

    def follow(self, plan: Plan) -> None:
        """Give the tiers of a plan their colours."""
        names = list(dict.fromkeys(part.tier for part in plan.walk()))
        self._styles = {name: _STYLES[index % len(_STYLES)] for index, name in enumerate(names)}

    @property
    def is_live(self) -> bool:
        """Whether what was shown can be followed by something else: in a pipe it stands."""
        return self._output.is_terminal

    def take_back(self, parts: list[Piece]) -> None:
        """Say that a larger tier took over, and show what still stands."""
        self._output.line()
        self._output.note("a larger tier took over from here on")
        self._tier = ""
        self.show(parts)

    def show(self, parts: list[Piece]) -> None:
        """Write some pieces of text."""
        for piece in joined(parts):
            if piece.text:
                self._mark(piece.tier)
                self._output.stream(piece.text, self.style(piece.tier))

    def style(self, tier: str) -> str:
        """Return the colour of a tier."""
        return self._styles.get(tier, "default") if self._provenance else ""

    def finish(self, parts: list[Piece]) -> None:
        """End the answer; with provenance, say how many tokens each tier proposed first."""
        self._output.line()
        self._tier = ""
        if not self._provenance:
            return
        counts = dict.fromkeys(self._styles, 0)
        for piece in parts:
            counts[piece.tier] = counts.get(piece.tier, 0) + piece.num_tokens
        self._output.line()
        block = "■ " if self._output.is_terminal else ""
        for index, (tier, number) in enumerate(counts.items()):
            share = number / max(1, sum(counts.values()))
            self._output.stream("   " if index else "")
            self._output.stream(f"{block}{tier}", self.style(tier))
            self._output.stream(f" {number} tokens ({share:.0%})")
        self._output.line()

    def _mark(self, tier: str) -> None:
        if self._provenance and not self._output.is_terminal and tier != self._tier:
            self._output.stream(f"[{tier}]")
        self._tier = tier
