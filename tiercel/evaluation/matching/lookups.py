"""A drafter without a model: what followed the last tokens before, in the answer or in a table."""

from tiercel.engines.combined import CombinedDrafter
from tiercel.evaluation.matching.choices import Given, Matches
from tiercel.speculation.lookup import Basis, Lookups


class LookupChooser:
    """Looks up in the prompt and the answer so far, and in an n-gram table if there is one.

    What other sessions said is not looked at: an answer's matches are its own.
    """

    def __init__(self, basis: Basis, fingerprint: str) -> None:
        """`fingerprint` is that of the root's tokenizer, and of the table's."""
        self._lookups, self._fingerprint = Lookups(basis), fingerprint

    def matches(self, given: Given) -> Matches:
        """Return the matches, and as probabilities how often such guesses hold."""
        drafter = CombinedDrafter(*self._lookups.sources(self._fingerprint))
        drafter.append(given.prompt_ids)
        found = []
        for token_id in given.answer_ids:
            _, guess = drafter.guess()
            said = (guess.token == token_id, guess.confidence) if guess else (False, 0.0)
            found.append(said)
            drafter.append([token_id])
        return Matches.of(found)
