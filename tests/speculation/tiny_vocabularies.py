"""Vocabularies of three tokens, and what a drafter of another one does to a parent's law."""

from collections.abc import Callable, Sequence

from tests.decoding.chains import Judge, Model, Tokens, target
from tests.decoding.enumeration import Chances
from tiercel.decoding import draft_distribution
from tiercel.draft_stream import TokenSequence
from tiercel.speculation.bridged_sequence import BridgedSequence, BridgeEnds
from tiercel.speculation.foreign import Foreign
from tiercel.speculation.link import Draft
from tiercel.speculation.request import Request
from tiercel.text import Intersection
from tiercel.types import Evidence, SamplingParams

SAMPLED = SamplingParams(temperature=1.0, seed=1)


class TinyVocabulary:
    """A few tokens, and the longest first where text is spelled; the last may be an end."""

    def __init__(self, *tokens: bytes, end: bytes | None = None) -> None:
        self._tokens = [*tokens, *([end] if end else [])]
        self.end_id = len(tokens) if end else None
        self.eos_ids = frozenset([self.end_id] if end else [])
        self.fingerprint = repr(tokens)
        self.vocab_size = len(self._tokens)

    def token_bytes(self, id: int) -> bytes:
        return self._tokens[id] if id < self.vocab_size else b""

    def is_special(self, id: int) -> bool:
        return id in self.eos_ids or id >= self.vocab_size

    def special_id(self, text: bytes) -> int | None:
        return self.end_id if self.end_id is not None and text == self._tokens[-1] else None

    def spell(self, data: bytes) -> list[int] | None:
        ids: list[int] = []
        ordinary = [id for id in range(self.vocab_size) if not self.is_special(id)]
        while data:
            fitting = [id for id in ordinary if data.startswith(self._tokens[id])]
            if not fitting:
                return None
            ids.append(max(fitting, key=lambda id: len(self._tokens[id])))
            data = data[len(self._tokens[ids[-1]]) :]
        return ids


PARENT = TinyVocabulary(b"a", b"b", b"ab")
DRAFTERS = [
    TinyVocabulary(b"b", b"a", b"ba"),  # of which the last is two of the parent's
    TinyVocabulary(b"ab", b"ba", b"b"),
    TinyVocabulary(b"bb", b"aa", b"aba"),  # nothing in common
]


def request(evidence: Evidence = Evidence.DISTRIBUTIONS, **fields) -> Request:
    known = {
        "request_id": "request",
        "parent": "parent",
        "tokenizer_fingerprint": PARENT.fingerprint,
        "vocab_size": PARENT.vocab_size,
        "num_prompt_tokens": 1,
        "params": SAMPLED,
        "stop_token_ids": frozenset(),
        "max_new_tokens": 20,
        "deadline": 0.0,
        "evidence": evidence,
    }
    return Request(**known | fields)


def intersection(drafter: TinyVocabulary, parent: TinyVocabulary = PARENT) -> Intersection:
    return Intersection(
        drafter, parent, drafter_size=drafter.vocab_size, parent_size=parent.vocab_size
    )


class Foreigner:
    """A drafter's run, as its parent keeps it: drawn on, translated, judged, cut."""

    def __init__(self, vocabulary: TinyVocabulary, of: Model, chances: Chances) -> None:
        self.sequence = TokenSequence([0])
        ends = BridgeEnds(
            PARENT, Foreign(vocabulary, vocabulary.vocab_size), (0,), intersection(vocabulary)
        )
        self.bridged = BridgedSequence(ends, request(), self.sequence)
        self._rows = [draft_distribution(row, SAMPLED) for row in of]
        self._chances, self._num_drawn = chances, 0
        self._run = Draft()

    def draft(self, length: int, most: int) -> Draft:
        ids, sent = list(self._run.token_ids), list(self._run.distributions or ())
        while len(ids) < length:
            sent.append(self._rows[ids[-1] if ids else self.bridged.shadow.last()])
            ids.append(self._chances.numbers("draft", self._num_drawn).draw(0, sent[-1]))
            self._num_drawn += 1
        self._run = Draft(tuple(ids), ("drafter",) * len(ids), None, tuple(sent))
        return self.bridged.translated(self._run, most)

    def commit(self, token_ids: Sequence[int], rejected_from: int | None) -> None:
        before = self.bridged.shadow.tokens()
        self.sequence.append(token_ids)
        run, sent = list(self._run.token_ids), self._run.distributions or ()
        synced = self.bridged.sync(run, rejected_from)
        if synced.rejected_from is not None:
            del run[synced.rejected_from - len(before) :]
        after = self.bridged.shadow.tokens()
        new = after[len(before) :]
        stands = after[: len(before)] == before and run[: len(new)] == new
        kept = slice(len(new), len(run)) if stands else slice(0)
        self._run = Draft(tuple(run[kept]), (), None, tuple(sent[kept]))


def decode_foreign(
    of: Model, vocabulary: TinyVocabulary, drafts: Model, rules: Judge, length: int, count: int
) -> Callable[[Chances], Tokens]:
    """The program that gives `count` of the parent's tokens, runs being of `length` tokens."""

    def program(chances: Chances) -> Tokens:
        foreigner = Foreigner(vocabulary, drafts, chances)
        sequence, runs = foreigner.sequence, 0
        while len(sequence) <= count:
            start = len(sequence)
            draft = foreigner.draft(length, most=2)
            held = target(of, sequence.last(), draft.token_ids)
            verdict = rules(draft.to_judge(), held, chances.numbers("verdict", runs))
            stood = verdict.num_accepted
            rejected_from = start + stood if stood < len(draft.token_ids) else None
            foreigner.commit(verdict.committed(draft.token_ids), rejected_from)
            runs += 1
        return tuple(sequence.tokens(1))[:count]

    return program
