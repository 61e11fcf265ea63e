"""Two byte-level tokenizers that are trained on the spot, and as different as models' are."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st
from tokenizers import Tokenizer as Bpe
from tokenizers import decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from tiercel.tokenizer import Tokenizer
from tiercel.tokenizer_files import vocabulary_of_gguf

CORPUS = """The internationalisation of the model, in the end, was their undoing: they're theirs.
def fork(self, index: int) -> None:\r\n    return self._tokens[index + 10]  # the rest is there
你好世界\uff0c今天天气很好。你好\uff0c世界\uff01 Привет, мир. naïve café, e\u0301te\u0301, 🙂🙂🏽🦅
    the theme then thereafter interned 1234567890 1234 <|im_end|>\n\n\n\treturn there\r\n"""
# Neither has all special tokens of the other; both have one, and each an end of its own.
PARENT_SPECIALS = ["<|im_start|>", "<|im_end|>", "<|file|>", "<tool>"]
DRAFTER_SPECIALS = ["<s>", "</s>", "<|file|>", "<fim>"]
MISSING = b"\x00\x01"  # bytes that the drafter's vocabulary lacks
WORDS = ["the", " there", " inter", "nation", "al", " 12", "34", "  ", "\r\n", "\n\n  ", "'s", "."]
WORDS += [
    "你好",
    "\uff0c世界。",
    "🙂🏽",
    "e\u0301",
    "\u0301",
    " café",
    "def f(x):",
    "<|im_end|>",
    " ",
    "\x00",
]
texts = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
    st.text(max_size=20),
    st.integers(0, len(CORPUS) - 60).map(lambda start: CORPUS[start : start + 60]),
)


@cache
def parent() -> Tokenizer:
    """Return a tokenizer that splits as gpt2 does, with short tokens."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _trained(_bpe(split), PARENT_SPECIALS, num_tokens=330, end="<|im_end|>")


@cache
def drafter() -> Tokenizer:
    """Return one that splits as qwen2 does and normalises, with longer tokens and fewer bytes."""
    # The pattern is that of the files that the project reads.
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": ["a"],
        "tokenizer.ggml.token_type": [1],
        "tokenizer.ggml.merges": [],
    }

    def read(key: str, default: object = None) -> object:
        return metadata.get(key, default)

    split = vocabulary_of_gguf(read).bpe.pre_tokenizer
    bpe = _bpe(split)
    bpe.normalizer = normalizers.NFC()
    return _trained(bpe, DRAFTER_SPECIALS, num_tokens=520, end="</s>", missing=MISSING)


def _bpe(split: pre_tokenizers.PreTokenizer) -> Bpe:
    bpe = Bpe(BPE())
    bpe.pre_tokenizer, bpe.decoder = split, decoders.ByteLevel()
    return bpe


def _trained(
    bpe: Bpe, specials: list[str], *, num_tokens: int, end: str, missing: bytes = b""
) -> Tokenizer:
    letters = set(pre_tokenizers.ByteLevel.alphabet())
    # Control bytes stand at U+0100 and after in the byte-level alphabet.
    letters -= {chr(0x100 + byte) for byte in missing}
    trainer = BpeTrainer(
        vocab_size=num_tokens,
        min_frequency=1,
        initial_alphabet=sorted(letters),
        special_tokens=specials,
        show_progress=False,
    )
    bpe.train_from_iterator([CORPUS], trainer)
    with TemporaryDirectory() as folder:
        bpe.save(str(Path(folder, "tokenizer.json")))
        Path(folder, "tokenizer_config.json").write_text(json.dumps({"eos_token": end}))
        return Tokenizer.from_folder(Path(folder))


def joined(tokenizer: Tokenizer, token_ids: Sequence[int]) -> bytes:
    return b"".join(map(tokenizer.token_bytes, token_ids))


def special(tokenizer: Tokenizer, text: str) -> int:
    token_id = tokenizer.special_id(text.encode())
    assert token_id is not None
    return token_id


def specials(tokenizer: Tokenizer, token_ids: Sequence[int]) -> set[tuple[int, bytes]]:
    """Return the special tokens among these with their offsets."""
    found, offset = set(), 0
    for token_id in token_ids:
        data = tokenizer.token_bytes(token_id)
        if data and tokenizer.is_special(token_id):
            found.add((offset, data))
        offset += len(data)
    return found
