"""When harm has risen though audits were clean for long: bets that are begun anew at each audit.

The store bets by itself, in `services/feedback/lua/bets.lua` and `follow.lua`; this is the same for
replays, which have no store. A test holds the two against each other.
"""

from dataclasses import dataclass

STAKES = (0.9, 0.45, 0.22, 0.11, 0.05, 0.02)
_MOST = 1e100


@dataclass(frozen=True)
class HarmBets:
    """What bets that more than epsilon of the answers are harmed have won: M = (1 + M) x bet.

    The sum of Shiryaev and Roberts over bets that begin at each audit, averaged over the stakes
    (Shin, Ramdas and Rinaldo, "E-detectors", arXiv:2203.03532). While no answer's chance of harm is
    above epsilon it grows by at most 1 an audit on average: to reach c takes c audits or more.
    """

    won: tuple[float, ...] = (0.0,) * len(STAKES)
    doubt: float = 0.0  # the most that their mean ever was

    def after(self, *, harmed: bool, epsilon: float) -> "HarmBets":
        """Return what they have won after one more audit."""
        above = (float(harmed) - epsilon) / epsilon
        paired = zip(self.won, STAKES, strict=True)
        won = tuple(min(_MOST, (1 + one) * (1 + stake * above)) for one, stake in paired)
        return HarmBets(won, max(self.doubt, sum(won) / len(won)))
