"""Writes the weights of a GGUF file, as transformers reads them, to a folder in its own layout."""

import sys
from pathlib import Path

import transformers


def convert(gguf: Path, folder: Path) -> None:
    """Write weights in float32, tokenizer and configuration into `folder`."""
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = transformers.AutoModelForCausalLM.from_pretrained(**source)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    # What was read from GGUF counts as quantized, and transformers does not write that.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    plain = transformers.AutoModelForCausalLM.from_config(model.config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
