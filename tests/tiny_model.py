"""Writes a tiny random llama as a GGUF file, so that tests take the real way of loading a model."""

from pathlib import Path

import gguf
import numpy as np

LAYERS, HEADS, KV_HEADS, HEAD_DIM, FEED_FORWARD, CONTEXT = 2, 2, 1, 32, 128, 512
HIDDEN = HEADS * HEAD_DIM
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["t h", "th e", "Ġ the", "i n", "e r", "o n", "Ġ a", "a n", "Ġ s", "o u"]
# Merges by the name of a tokenizer. Those that end in `reversed` number their tokens backwards.
TOKENIZERS = {
    "usual": MERGES,
    "other, reversed": ["h e", "t he", "Ġ t", "n g", "i ng", "r e", "Ġ o", "Ġo f", "e n", "s t"],
    "bytes": ["ÿ ÿ"],  # a file without any merges cannot be written
    "bytes, reversed": ["ÿ ÿ"],
}
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('unknown role ' + message['role']) }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_gguf(
    folder: Path,
    seed: int = 0,
    *,
    noise: float = 0.0,
    architecture: str = "llama",
    tokenizer: str = "usual",
) -> Path:
    """Write the model of `seed` into `folder` and return its file.

    All seeds share one tokenizer of 269 tokens, unless another of `TOKENIZERS` is asked for; those
    of bytes say the same with other ids. With `noise` the weights are those of the seed
    plus that share of others, which makes a drafter that agrees with the seed's model now and
    then: greedily at about 1 token in 3 for 0.05. The same file in int8 agrees at 9 of 10, in
    int4 at 4 of 10. Greedy text varies for hundreds of tokens.
    """
    path = folder / f"tiny-{architecture}-{tokenizer}-{seed}-{noise}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    _write_metadata(writer, architecture, tokenizer)
    tensors = tiny_tensors(seed, noise, architecture=architecture, tokenizer=tokenizer)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vocabulary(tokenizer: str = "usual") -> list[str]:
    """Return the tokens by id: the special ones, the bytes, the merged ones, or the reverse."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(0x100 + n) for n in range(len(others))]
    merged = [merge.replace(" ", "") for merge in TOKENIZERS[tokenizer]]
    tokens = SPECIALS + alphabet + merged
    return tokens[::-1] if tokenizer.endswith("reversed") else tokens


def tiny_tensors(
    seed: int, noise: float = 0.0, *, architecture: str = "llama", tokenizer: str = "usual"
) -> dict[str, np.ndarray]:
    """Return the model's tensors by GGUF name, float32, rotary pairs as GGUF has them."""
    generator, other = np.random.default_rng(seed), np.random.default_rng(seed + 10_000)

    def draw(*shape: int, scale: float) -> np.ndarray:
        values = generator.normal(size=shape) + noise * other.normal(size=shape)
        return (scale * values).astype(np.float32)

    kv_width, vocab = KV_HEADS * HEAD_DIM, len(vocabulary(tokenizer))
    order = -1 if tokenizer.endswith("reversed") else 1
    tensors = {
        "token_embd.weight": draw(vocab, HIDDEN, scale=1.0)[::order],
        "output.weight": draw(vocab, HIDDEN, scale=0.5)[::order],
        "output_norm.weight": np.ones(HIDDEN, np.float32),
    }
    for layer in range(LAYERS):
        matrices = {
            "attn_q": draw(HIDDEN, HIDDEN, scale=0.3),
            "attn_k": draw(kv_width, HIDDEN, scale=0.3),
            "attn_v": draw(kv_width, HIDDEN, scale=0.3),
            "attn_output": draw(HIDDEN, HIDDEN, scale=0.3),
            "ffn_gate": draw(FEED_FORWARD, HIDDEN, scale=0.2),
            "ffn_up": draw(FEED_FORWARD, HIDDEN, scale=0.2),
            "ffn_down": draw(HIDDEN, FEED_FORWARD, scale=0.2),
            "attn_norm": np.ones(HIDDEN, np.float32),
            "ffn_norm": np.ones(HIDDEN, np.float32),
        }
        tensors |= {f"blk.{layer}.{name}.weight": values for name, values in matrices.items()}
        if architecture == "qwen2":
            for name, width in (("q", HIDDEN), ("k", kv_width), ("v", kv_width)):
                tensors[f"blk.{layer}.attn_{name}.bias"] = draw(width, scale=0.5)
    return tensors


def _write_metadata(writer: gguf.GGUFWriter, architecture: str, tokenizer: str) -> None:
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = vocabulary(tokenizer)
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm" if architecture == "llama" else "qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [kinds.CONTROL if token in SPECIALS else kinds.NORMAL for token in tokens]
    )
    writer.add_token_merges(TOKENIZERS[tokenizer])
    writer.add_bos_token_id(tokens.index("<|im_start|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_chat_template(TEMPLATE)
