"""Fetches models and builds their graphs before any service starts, so that people see progress."""

from tiercel.cli.output import Output
from tiercel.tiers import Configuration

_WITH_MODEL = ("native", "onnx", "torch")


def prepare(configuration: Configuration, output: Output) -> None:
    """Put every model that the tiers of this machine need into the cache folder.

    Raises ModelUnavailable. What is there already takes no time.
    """
    # Not at the top: other commands start without the libraries that read models.
    from tiercel.engines.graph_store import built_graph
    from tiercel.engines.native_weights import laid_out
    from tiercel.models.embedded import DEFAULT_MODEL
    from tiercel.models.resolve import resolve

    for name, tier in configuration.tiers.items():
        if tier.engine not in _WITH_MODEL:
            continue
        model = tier.model or DEFAULT_MODEL
        with output.working(f"{name}: the model {model}"):
            checkpoint = resolve(model)
        build = {"onnx": built_graph, "native": laid_out}.get(tier.engine)
        if build and tier.dtype:
            with output.working(f"{name}: {model} in {tier.dtype} for the {tier.engine} engine"):
                build(checkpoint.weights, tier.dtype)
