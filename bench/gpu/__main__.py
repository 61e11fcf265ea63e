"""The torch engine against transformers on one device.

    python -m bench.gpu --out results.json [--model 8b ...] [--sessions 32 ...] [--quick]

Every system decodes greedily, all sessions' sequences together where it can, exactly `--tokens`
tokens for each. Systems take turns, another one first each time; a whole run of each comes before
that and is not counted. Models: smollm2-135m with its own weights; 1b and 8b are shapes of llama
with random weights, whose drafts are accepted with a prescribed chance.
"""

import gc
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
import typer

from bench.gpu.measurement import Sample, measured, prompts_for
from bench.gpu.shapes import CASES
from bench.gpu.systems import Setting, systems_of
from bench.gpu.tables import rate_rows
from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.engines.torch_rank import RankSettings

_QUICK = {"sessions": [1, 8], "rounds": 1, "tokens": 16, "prompt_tokens": 32}


@dataclass(frozen=True)
class Amounts:
    """How much is measured."""

    sessions: list[int]
    rounds: int
    tokens: int
    prompt_tokens: int


def main(
    out: Annotated[Path, typer.Option(help="Everything measured, as JSON.")],
    model: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(CASES)}.")] = None,
    sessions: Annotated[list[int] | None, typer.Option(min=1)] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    tokens: Annotated[int, typer.Option(min=2)] = 128,
    prompt_tokens: Annotated[int, typer.Option(min=2, help="The longest; others are less.")] = 256,
    device: Annotated[str, typer.Option(help="cuda, cuda:1, cpu; auto picks")] = "auto",
    dtype: Annotated[str, typer.Option(help="bf16, fp16 or fp32; none: the engine's")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A little of all, to see it run.")] = False,
) -> None:
    """Measure and print tokens a second, and how many times those of `generate` they are."""
    amounts = Amounts(sessions or [1, 8, 32, 128], rounds, tokens, prompt_tokens)
    if quick:
        amounts = Amounts(**_QUICK)  # type: ignore[arg-type]
    output = Output()
    with tell_failures():
        rank = RankSettings(dtype=dtype, device=device)
        on_cpu = rank.device_of(0).type == "cpu"
        setting = Setting(rank, amounts.prompt_tokens + amounts.tokens, max(amounts.sessions))
        report: dict[str, Any] = {**_surroundings(setting), **asdict(amounts), "models": {}}
        # Without a GPU there is nothing to learn but that it runs.
        for name in model or (["tiny"] if on_cpu else [name for name in CASES if name != "tiny"]):
            report["models"][name] = _measure(name, setting, amounts, output)
            out.write_text(json.dumps(report, indent=1))


def _measure(name: str, setting: Setting, amounts: Amounts, output: Output) -> dict[str, Any]:
    case = CASES[name]
    with output.working(f"{name}: loading"):
        systems, missing = systems_of(case, setting)
    samples: list[Sample] = []
    for count in amounts.sessions:
        prompts = prompts_for(case, count, amounts.prompt_tokens)
        with output.working(f"{name}: {count} sessions"):
            found, gone = measured(systems, prompts, amounts.tokens, amounts.rounds)
        samples += found
        missing |= {f"{system}, {count} sessions": why for system, why in gone.items()}
    columns = ["system", *(f">{count} sessions" for count in amounts.sessions)]
    title = f"{name} ({case.weights}): tokens a second [all rounds], times those of generate"
    output.table(title, columns, rate_rows(samples, amounts.sessions))
    for system, why in missing.items():
        output.line(f"not measured: {system}: {why}")
    del systems
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {"weights": case.weights, "samples": list(map(asdict, samples)), "missing": missing}


def _surroundings(setting: Setting) -> dict[str, Any]:
    device = setting.rank.device_of(0)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return {"device": name, "dtype": setting.rank.dtype_name(), **versions}


if __name__ == "__main__":
    typer.run(main)
