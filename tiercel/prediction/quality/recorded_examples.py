"""Two large models' recorded successes as examples."""

from pathlib import Path

from tiercel.evaluation.frontier.recorded_pair import read_recorded_pair
from tiercel.prediction.quality.embedding import Embedding
from tiercel.prediction.quality.featuriser import features
from tiercel.prediction.quality.outcome_examples import Asked, Measured

SETS = ("gsm8k_test", "mmlu_test")


def read_recorded(data: Path, *, embedding: Embedding | None = None) -> Measured:
    """Return the prompts of `data` that say how both models did; raises InvalidRequest."""
    table = read_recorded_pair(
        data, SETS, lambda text: features(text, temperature=0.0, embedding=embedding)
    )
    places = zip(table.examples.kinds, table.prompt_ids, strict=True)
    asked = tuple(Asked(kind, prompt_id, 0.0) for kind, prompt_id in places)
    record = None if embedding is None else embedding.record
    return Measured(table.examples, asked, {}, dict(table.sources), record)
