"""Text to token ids and back, and conversations through a model's chat template."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tiercel.chat_template import ChatTemplate
from tiercel.errors import ModelUnavailable
from tiercel.tokenizer_files import (
    Vocabulary,
    files_of_vocabulary,
    vocabulary_of_files,
    vocabulary_of_folder,
    vocabulary_of_gguf,
)
from tiercel.types import Message

# Ends of a text or of a turn, under the names that the llama family's models give them.
_ENDS = {"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "</s>"}

# What files that somebody sent may lead to; those of a model on this machine are to be trusted.
_BAD_FILES = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Tokenizer:
    """A byte-level BPE tokenizer together with its model's chat template."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Build a tokenizer from what a model's files say."""
        self._vocabulary, self._bpe = vocabulary, vocabulary.bpe
        self._bpe.encode_special_tokens = True  # the literal text of a special token is plain text
        self._tokens = vocabulary.tokens
        self._special_ids = vocabulary.special_ids
        self._bytes = [
            token.encode() if id in self._special_ids else _token_bytes(token)
            for id, token in enumerate(self._tokens)
        ]
        self._id_of_special = {self._tokens[id]: id for id in sorted(self._special_ids)}
        self._special_pattern = _alternatives(self._id_of_special)
        named_ends = {id for text, id in self._id_of_special.items() if text in _ENDS}
        self.eos_ids = frozenset(vocabulary.eos_ids | named_ends)
        own_end = self._id_of_special.get(vocabulary.template_names.get("eos_token", ""))
        self.end_id = min(self.eos_ids, default=None) if own_end is None else own_end
        self.fingerprint = _fingerprint(vocabulary)
        self._template = ChatTemplate(vocabulary.chat_template, vocabulary.template_names)

    @classmethod
    def from_gguf(cls, metadata: Callable[..., Any]) -> "Tokenizer":
        """Return the tokenizer described by a GGUF file's metadata, a function of the key."""
        return cls(vocabulary_of_gguf(metadata))

    @classmethod
    def from_folder(cls, folder: Path) -> "Tokenizer":
        """Return the tokenizer of a folder with tokenizer.json and tokenizer_config.json."""
        return cls(vocabulary_of_folder(folder))

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "Tokenizer":
        """Return the tokenizer that `files` of another one make; raises ModelUnavailable."""
        try:
            return cls(vocabulary_of_files(files))
        except _BAD_FILES as error:
            raise ModelUnavailable(f"these are no files of a tokenizer: {error!r}") from error

    def files(self) -> dict[str, bytes]:
        """Return, by name, the files that make an equal tokenizer elsewhere."""
        return files_of_vocabulary(self._vocabulary)

    @property
    def vocab_size(self) -> int:
        """Number of tokens; a model may have more ids, which stand for nothing."""
        return len(self._tokens)

    def encode(
        self, text: str, *, add_special: bool = False, parse_special: bool = False
    ) -> list[int]:
        """Return the ids of `text`; bytes that the vocabulary lacks are dropped.

        `add_special` puts the model's first token before it, where the model has one.
        `parse_special` reads the literal text of special tokens as those tokens; leave it off
        for text of users.
        """
        if not parse_special:
            # A batch, as `encode` holds the GIL: a text of megabytes would stop the event loop.
            (whole,) = self._bpe.encode_batch_fast([text], add_special_tokens=add_special)
            return list(whole.ids)
        ids = list(self._bpe.encode("", add_special_tokens=add_special).ids)
        for piece in self._special_pattern.split(text):
            special = self._id_of_special.get(piece)
            ids += self.encode(piece) if special is None else [special]
        return ids

    def spell(self, data: bytes) -> list[int] | None:
        """Return ordinary tokens of exactly these bytes, None if the vocabulary lacks some.

        They are those of `encode` unless that changes the text (one that it would normalise), or
        the bytes are no text (a part of a character, say).
        """
        ids: list[int] = []
        for piece in _NO_TEXT.split(data.decode(errors="surrogateescape")):
            part = piece.encode(errors="surrogateescape")
            spelled = self._merged(part) if _NO_TEXT.match(piece) else self.encode(piece)
            ids += spelled if self._joined(spelled) == part else self._merged(part)
        return ids if self._joined(ids) == data else None

    def decode(self, ids: Sequence[int], *, skip_special: bool = False) -> str:
        """Return the text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        kept = [id for id in ids if not (skip_special and self.is_special(id))]
        return self._joined(kept).decode(errors="replace")

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of a token: of a special one its literal text, of a filler id none."""
        return self._bytes[id] if id < len(self._bytes) else b""

    def is_special(self, id: int) -> bool:
        """Return whether a token is a mark of its model's and no text; filler ids are."""
        return id in self._special_ids or id >= len(self._tokens)

    def special_id(self, text: bytes) -> int | None:
        """Return the special token with this literal text."""
        return self._id_of_special.get(text.decode(errors="replace"))

    def render(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True
    ) -> list[int]:
        """Return the ids of a conversation in the model's chat template.

        The literal text of special tokens inside a message stays text: no message can end its
        own turn. Raises InvalidRequest for messages that the template refuses.
        """
        guard = _unused_character(messages)
        guarded = [
            Message(self._guarded(message.role, guard), self._guarded(message.content, guard))
            for message in messages
        ]
        text = self._template.render(guarded, add_generation_prompt=add_generation_prompt)
        ids: list[int] = []
        for piece in self._special_pattern.split(text):
            special = self._id_of_special.get(piece)
            ids += self.encode(piece.replace(guard, "")) if special is None else [special]
        return ids

    def _joined(self, ids: Sequence[int]) -> bytes:
        return b"".join(map(self.token_bytes, ids))

    def _merged(self, data: bytes) -> list[int]:
        """Return the tokens that the merges make of bytes, without any splitting before."""
        alphabet = "".join(_CHARACTERS[byte] for byte in data)
        return [token.id for token in self._bpe.model.tokenize(alphabet)]

    def _guarded(self, text: str, guard: str) -> str:
        """Break every literal special token in `text` with a character that is removed later."""
        return self._special_pattern.sub(lambda match: match[0][0] + guard + match[0][1:], text)


def _alternatives(literals: dict[str, int]) -> re.Pattern[str]:
    """Return a pattern, in one group, for any of the texts, the longest first."""
    longest_first = sorted(literals, key=len, reverse=True)
    return re.compile("(" + ("|".join(map(re.escape, longest_first)) or r"(?!)") + ")")


def _unused_character(messages: Sequence[Message]) -> str:
    """Return a Unicode noncharacter that stands in no message."""
    used = {character for message in messages for character in message.role + message.content}
    free = (chr(code) for code in range(0xFDD0, 0xFDF0) if chr(code) not in used)
    return next(free, "\uffff")


def _fingerprint(vocabulary: Vocabulary) -> str:
    """Return the hex sha256 of the ordered vocabulary and merges."""
    parts = json.dumps([vocabulary.tokens, vocabulary.merges], ensure_ascii=True)
    return hashlib.sha256(parts.encode()).hexdigest()


def _byte_alphabet() -> dict[str, int]:
    """Return the byte that each character of a byte-level vocabulary stands for.

    GPT-2's table: printable Latin-1 stands for itself, the rest is numbered from U+0100 on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}


_ALPHABET = _byte_alphabet()
_CHARACTERS = {byte: character for character, byte in _ALPHABET.items()}
# Bytes that are no UTF-8, as `surrogateescape` decodes them.
_NO_TEXT = re.compile("([\udc80-\udcff]+)")


def _token_bytes(token: str) -> bytes:
    """Return the bytes of a token of the byte-level alphabet, else its UTF-8."""
    if all(character in _ALPHABET for character in token):
        return bytes(_ALPHABET[character] for character in token)
    return token.encode()
