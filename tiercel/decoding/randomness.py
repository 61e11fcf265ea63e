"""Uniform numbers for the rules that are exact in distribution: reproducible, and never used twice.

`EXACT` needs none: drafter and verifier draw with the *same* Gumbel noise (`noise`), and the text
is a function of the seed. Speculative sampling is the opposite. Its proof asks that the coins and
the recovered tokens be independent of how the draft was drawn. So under a rule that asks for
`Evidence.DISTRIBUTIONS`

* the drafter draws with numbers of its own, and every level of a chain, as a drafter and as a
  verifier, has its own: the key is a hash of seed, tier and role (`Randomness.of`);
* every run of drafting and every verdict has a fresh number (`run`). Block verification lets the
  fate of early tokens depend on later ones. A draft that was voided has thus left its mark on what
  was committed, and its numbers, used again, would bias what is redrafted there. The coins after
  the last accepted token were looked at too. Under REJECTION alone a run could be repeated.

So no two runs of one tier in one request may share a number. A session that starts again (a
drafter that reconnects, a verifier after a failover) counts from 0 again: the key must also hold
what tells it from the session before, such as the hash of the prefix that it opened with. Nothing
else enters: the same messages give the same tokens.

A rule that is lossy draws what replaces a draft token, and what follows a whole draft, with the
coupled noise instead. It may, because the drafter's numbers are not that noise; so its answers
stay near those of EXACT with the same seed, and at strictness 1 they are those.
"""

from dataclasses import dataclass
from hashlib import blake2b

from tiercel.decoding.distributions import TokenDistribution
from tiercel.decoding.mixing import GOLDEN, MASK, mix

_RUNS = 0xD1B54A32D192ED03  # tells the keys of runs from the numbers of a key


@dataclass(frozen=True)
class Randomness:
    """A counter-based source of uniform numbers (SplitMix64): number `index` of a 64-bit key."""

    key: int

    @classmethod
    def of(cls, seed: int, *names: str | int) -> "Randomness":
        """Return the source for one seed and whatever tells its user from all others."""
        digest = blake2b(seed.to_bytes(8, "little"), digest_size=8, person=b"tiercel-runs")
        for name in names:
            text = f"{type(name).__name__} {name}".encode()
            digest.update(len(text).to_bytes(8, "little") + text)
        return cls(int.from_bytes(digest.digest(), "little"))

    def run(self, number: int) -> "Randomness":
        """Return the source of run `number`, at least 0, which has to be a fresh one."""
        return Randomness(mix(mix(self.key ^ _RUNS) + (number + 1) * GOLDEN))

    def uniform(self, index: int) -> float:
        """Return number `index`: an odd multiple of 2**-53 between 0 and 1."""
        bits = mix((self.key + (index + 1) * GOLDEN) & MASK)
        return ((bits >> 11) | 1) * 2.0**-53

    def coin(self, index: int, prob: float) -> bool:
        """Return whether number `index` lies below `prob`: never for 0, always for 1 and more."""
        return self.uniform(index) < prob

    def draw(self, index: int, distribution: TokenDistribution) -> int:
        """Return the token that number `index` draws."""
        return distribution.at(self.uniform(index))
