"""Gumbel noise that is a function of seed, byte offset and a token's bytes, and of nothing else.

Two models that score the same text add the same noise to the same token, whatever their ids for
it, so their draws are coupled (arXiv:2408.07978) and only ids need to travel. The random integers
are the same on every machine. The two logarithms are the platform's own: machines may differ in
the last bit of a noise, which moves a draw about once in 1e14 tokens.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tiercel.decoding.mixing import GOLDEN, mix, mix_array


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the noise needs to know of each token id: a hash of its bytes, and their number."""

    hashes: NDArray[np.uint64]  # shape [vocab_size]
    widths: NDArray[
        np.int64
    ]  # shape [vocab_size], bytes; at least 1, so that text has no standstill

    @classmethod
    def of(cls, token_bytes: Sequence[bytes]) -> "Vocabulary":
        """Hash the bytes of each id; special tokens are given as their literal text.

        Ids with equal bytes (padding rows with none, say) are told apart by their rank among them.
        """
        ranks: Counter[bytes] = Counter()
        hashes = np.empty(len(token_bytes), dtype=np.uint64)
        for token_id, token in enumerate(token_bytes):
            hashes[token_id] = _token_hash(token, ranks[token])
            ranks[token] += 1
        widths = np.array([max(1, len(token)) for token in token_bytes], dtype=np.int64)
        hashes.setflags(write=False)
        widths.setflags(write=False)
        return cls(hashes, widths)

    def __len__(self) -> int:
        return len(self.hashes)

    def advance(self, offset: int, token_ids: Iterable[int]) -> int:
        """Return the byte offset after `token_ids` when they begin at `offset`."""
        return offset + sum(int(self.widths[token_id]) for token_id in token_ids)


def _token_hash(token: bytes, rank: int) -> int:
    digest = blake2b(
        token, digest_size=8, salt=rank.to_bytes(8, "little"), person=b"tiercel"
    ).digest()
    return int.from_bytes(digest, "little")


def random_bits(hashes: NDArray[np.uint64], seed: int, offset: int) -> NDArray[np.uint64]:
    """Return 64 random bits for each token hash, at one byte offset of one seed's text."""
    key = mix(mix(seed + GOLDEN) + offset * GOLDEN)
    return mix_array(hashes ^ np.uint64(key))


def gumbel(hashes: NDArray[np.uint64], seed: int, offset: int) -> NDArray[np.float64]:
    """Return standard Gumbel noise for each token hash; always finite, between -3.7 and 36.8.

    `argmax(log(probs) + gumbel(...))` is a draw from `probs` (Gumbel 1954; arXiv:1411.0030).
    """
    # Odd multiples of 2**-53: exact in float64, and never 0 or 1.
    odd = (random_bits(hashes, seed, offset) >> np.uint64(11)) | np.uint64(1)
    uniform = odd.astype(np.float64) * 2.0**-53
    noise: NDArray[np.float64] = -np.log(-np.log(uniform))
    return noise
