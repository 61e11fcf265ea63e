"""The tokenizer of simulated models: one token for each byte, three special ones, chat marks."""

from tokenizers import pre_tokenizers

from tiercel.tokenizer import Tokenizer

_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer() -> Tokenizer:
    """Return the tokenizer that all simulated models share."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": _SPECIALS + alphabet,
        "tokenizer.ggml.token_type": [3] * len(_SPECIALS) + [1] * len(alphabet),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.eos_token_id": _SPECIALS.index("<|im_end|>"),
        "tokenizer.chat_template": _TEMPLATE,
    }
    return Tokenizer.from_gguf(metadata.get)


def letter_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the lower-case letters and the space."""
    return tokenizer.encode("abcdefghijklmnopqrstuvwxyz ")
