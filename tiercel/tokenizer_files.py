"""Reads the vocabularies of GGUF metadata and of Hugging Face folders."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from tiercel.errors import ModelUnavailable

_CONTROL, _USER_DEFINED, _UNUSED = 3, 4, 5  # token types of GGUF

_TOKENIZER, _SETTINGS, _GENERATION = (
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
)
FILES = (_TOKENIZER, _SETTINGS, _GENERATION)
"""The files that a vocabulary travels in, in the layout of Hugging Face."""


@dataclass(frozen=True)
class Vocabulary:
    """What a model's files say about its tokenizer."""

    bpe: Tokenizer
    tokens: list[str]  # in the byte-level alphabet, by id
    merges: list[str]  # two tokens with a space between
    special_ids: frozenset[int]
    eos_ids: frozenset[int]
    chat_template: str | None
    template_names: dict[str, str] = field(default_factory=dict)  # bos_token, eos_token, ...


def vocabulary_of_gguf(metadata: Callable[..., Any]) -> Vocabulary:
    """Return the vocabulary in a GGUF file's metadata, `metadata` being a function of the key."""
    kind, pre = metadata("tokenizer.ggml.model"), metadata("tokenizer.ggml.pre", "gpt2")
    if kind != "gpt2" or pre not in _PRE_TOKENIZERS:
        raise ModelUnavailable(f"tokenizer {kind!r} with splitting {pre!r} is not supported")
    types = metadata("tokenizer.ggml.token_type")
    tokens = metadata("tokenizer.ggml.tokens")
    while types[len(tokens) - 1] == _UNUSED:
        tokens = tokens[:-1]  # filler up to a round size
    ends = (metadata(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot"))
    return Vocabulary(
        bpe=_bpe_of_gguf(metadata, tokens, types, pre),
        tokens=tokens,
        merges=metadata("tokenizer.ggml.merges"),
        special_ids=frozenset(id for id in range(len(tokens)) if types[id] == _CONTROL),
        eos_ids=frozenset(id for id in ends if id is not None),
        chat_template=metadata("tokenizer.chat_template"),
        template_names=_names_of_gguf(metadata, tokens),
    )


def _bpe_of_gguf(
    metadata: Callable[..., Any], tokens: list[str], types: list[int], pre: str
) -> Tokenizer:
    merges = [tuple(merge.split(" ", 1)) for merge in metadata("tokenizer.ggml.merges")]
    vocab = {token: id for id, token in enumerate(tokens)}
    bpe = Tokenizer(BPE(vocab, merges, ignore_merges=pre == "llama-bpe"))
    if pre == "qwen2":
        bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = _PRE_TOKENIZERS[pre]()
    bpe.decoder = decoders.ByteLevel()
    for id, token in enumerate(tokens):
        if types[id] in (_CONTROL, _USER_DEFINED):
            special = types[id] == _CONTROL
            bpe.add_tokens([AddedToken(token, special=special, normalized=False)])
    first = metadata("tokenizer.ggml.bos_token_id")
    if metadata("tokenizer.ggml.add_bos_token", False) and first is not None:
        token = tokens[first]
        bpe.post_processor = TemplateProcessing(
            single=f"{token} $A", special_tokens=[(token, first)]
        )
    return bpe


def _names_of_gguf(metadata: Callable[..., Any], tokens: list[str]) -> dict[str, str]:
    ids = {name: metadata(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    return {f"{name}_token": tokens[id] for name, id in ids.items() if id is not None}


def _split_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _word_pattern(digits: str) -> str:
    """Return the splitting pattern that llama 3 and qwen 2 share but for the length of numbers."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"|"
        r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    ),
    "qwen2": lambda: _split_by(_word_pattern(r"\p{N}")),
    "llama-bpe": lambda: _split_by(_word_pattern(r"\p{N}{1,3}")),
}


def vocabulary_of_folder(folder: Path) -> Vocabulary:
    """Return the vocabulary in a folder's tokenizer.json and the files beside it."""
    path = folder / _TOKENIZER
    try:
        bpe = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for any bad file
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    content = json.loads(bpe.to_str())
    if content["model"]["type"] != "BPE" or "ByteLevel" not in json.dumps(content["decoder"]):
        raise ModelUnavailable(f"{path} is no byte-level BPE tokenizer")
    settings = _read_json(folder / _SETTINGS)
    by_id = {id: token for token, id in bpe.get_vocab(with_added_tokens=True).items()}
    special = {added["id"] for added in content["added_tokens"] if added["special"]}
    names = _names_of_folder(settings)
    ends = _read_json(folder / _GENERATION).get("eos_token_id", [])
    eos_ids = {int(id) for id in (ends if isinstance(ends, list) else [ends])}
    eos_ids |= {id for id in special if by_id[id] == names.get("eos_token")}
    return Vocabulary(
        bpe=bpe,
        tokens=[by_id.get(id, "") for id in range(max(by_id) + 1)],
        merges=[
            merge if isinstance(merge, str) else " ".join(merge)
            for merge in content["model"]["merges"]
        ],
        special_ids=frozenset(special),
        eos_ids=frozenset(eos_ids),
        chat_template=_template_of_folder(folder, settings),
        template_names=names,
    )


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _names_of_folder(settings: dict[str, Any]) -> dict[str, str]:
    """Return the special tokens by role; each is a text or an object with a `content`."""
    found = {key: settings.get(key) for key in ("bos_token", "eos_token", "pad_token")}
    return {
        key: value["content"] if isinstance(value, dict) else value
        for key, value in found.items()
        if value is not None
    }


def _template_of_folder(folder: Path, settings: dict[str, Any]) -> str | None:
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        return beside.read_text()
    template = settings.get("chat_template")
    if isinstance(template, list):  # several, by name
        template = next((one["template"] for one in template if one["name"] == "default"), None)
    return template


def files_of_vocabulary(vocabulary: Vocabulary) -> dict[str, bytes]:
    """Return the vocabulary as files, by name; see `FILES`."""
    settings = vocabulary.template_names | {"chat_template": vocabulary.chat_template}
    return {
        _TOKENIZER: vocabulary.bpe.to_str().encode(),
        _SETTINGS: json.dumps(settings).encode(),
        _GENERATION: json.dumps({"eos_token_id": sorted(vocabulary.eos_ids)}).encode(),
    }


def vocabulary_of_files(files: Mapping[str, bytes]) -> Vocabulary:
    """Return the vocabulary in files that somebody sent; bad ones raise whatever they lead to."""
    with TemporaryDirectory(prefix="tiercel-") as folder:
        for name in FILES:  # and no other, whatever was sent
            Path(folder, name).write_bytes(files.get(name, b"{}"))
        return vocabulary_of_folder(Path(folder))
