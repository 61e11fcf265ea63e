"""The token ids of what a caller sends to a tier with a tokenizer: prompts and continuations."""

from tiercel.errors import InvalidRequest, TokenizerMismatch
from tiercel.tokenizer import Tokenizer
from tiercel.wire.requests import Prompt, TokenIds


def ids_of_prompt(tier: str, tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Return a prompt's ids; raises InvalidRequest for one without any, or TokenizerMismatch."""
    if isinstance(prompt, TokenIds):
        check_fingerprint(tier, tokenizer, prompt, "prompt")
        return list(prompt.token_ids)
    if isinstance(prompt, str):
        ids = tokenizer.encode(prompt, add_special=True)
    else:
        ids = tokenizer.render(prompt)
    if not ids:
        raise InvalidRequest("prompt", prompt, "has no tokens")
    return ids


def check_fingerprint(tier: str, tokenizer: Tokenizer, ids: TokenIds, what: str) -> None:
    """Raise TokenizerMismatch for ids of another vocabulary than the tier's."""
    own, theirs = tokenizer.fingerprint, ids.tokenizer_fingerprint
    if theirs != own:
        raise TokenizerMismatch(f"{tier} has tokenizer {own}, the {what} {theirs!r}")
