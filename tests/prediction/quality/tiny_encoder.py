"""An encoder of four words, as large as a test needs: each token's state is a row of a table."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiercel.prediction.quality.embedding import Embedding

STATES = np.array(
    [[0, 0, 0, 0], [3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 5], [0, 0, 2, 0]], np.float32
)
WORDS = {"[UNK]": 0, "much": 1, "Python": 2, "code": 3, "prove": 4}


def encoder(folder: Path, states: np.ndarray = STATES) -> Embedding:
    """Write an encoder to `folder` and load it."""
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
    model.write_bytes(_graph(states))
    tokenizer.write_text(json.dumps(_tokenizer()))
    return Embedding("tiny", model, tokenizer)


def _graph(states: np.ndarray) -> bytes:
    names = [None, None]
    node = helper.make_node("Gather", ["states", "input_ids"], ["last_hidden_state"], axis=0)
    body = helper.make_graph(
        [node],
        "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, names)],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [*names, states.shape[1]]
            )
        ],
        [numpy_helper.from_array(states, "states")],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _tokenizer() -> dict[str, object]:
    return {
        "version": "1.0",
        "truncation": {
            "max_length": 2,
            "stride": 0,
            "strategy": "LongestFirst",
            "direction": "Right",
        },
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "[UNK]"},
    }
