"""`tiercel distill ngram`: a table of what a target says after the last few tokens."""

from pathlib import Path
from typing import Annotated

import typer

from tiercel.cli.output import Output
from tiercel.cli.running import tell_failures
from tiercel.distillation.ngram_recording import read_texts
from tiercel.distillation.ngram_table import Bounds, build
from tiercel.engines.ngram_file import NgramHeader, save

_MEGABYTE = 1_000_000


def ngram(
    recording: Annotated[
        list[Path],
        typer.Option(exists=True, file_okay=False, help="Folder of a recording; several times."),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The table, a safetensors file.")],
    max_megabytes: Annotated[float, typer.Option(min=0.01, help="Size of the file.")] = 8.0,
    max_order: Annotated[int, typer.Option(min=1, max=8, help="Longest context, in tokens.")] = 4,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="No guess less likely than this is kept.")
    ] = Bounds.min_confidence,
) -> None:
    """Build the n-gram table of a target from its recorded answers."""
    output = Output()
    with tell_failures():
        with output.working("reading the recording"):
            manifest, texts = read_texts(recording)
        header = NgramHeader(
            model=f"{manifest.model} {manifest.dtype}",
            tokenizer_fingerprint=manifest.tokenizer_fingerprint,
            vocab_size=manifest.vocab_size,
            max_order=max_order,
            num_tokens=len(texts.tokens),
        )
        bounds = Bounds(max_order, int(max_megabytes * _MEGABYTE), min_confidence)
        with output.working("counting"):
            arrays = build(texts, header.vocab_size, bounds)
        out.parent.mkdir(parents=True, exist_ok=True)
        save(out, header, arrays)
    size = out.stat().st_size / _MEGABYTE
    output.note(f"{len(arrays.tokens)} contexts of {header.num_tokens} tokens in {out}")
    output.note(f"{size:.1f} MB; to use it: ngram = {str(out.resolve())!r} in a suffix tier")
