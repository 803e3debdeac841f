"""``triaffect weights``: the paper's extractors from weight files to a model folder."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from triaffect.errors import DiskError, ModelError

SAFETENSORS = ".safetensors"
_LEAST_HOP_S, _MOST_HOP_S = 0.001, 3600.0

weights_app = typer.Typer(
    no_args_is_help=True, help="Weights of the paper's extractors, from files of your own."
)


@weights_app.command()
def convert(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Keras .h5, .hdf5 or .keras, a TensorFlow checkpoint or SavedModel, or .npz.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="A .safetensors file, or a folder for several.", show_default=False),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            help="fer_resnet34 or soundnet8; told by the first layer if not given.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert weights of the paper's extractors to safetensors; nothing in a file is run.

    Layers are told apart by their order and shapes, whatever their names. What lies behind the
    features, such as the valence-arousal head, is left out.
    """
    from triaffect.models.convert import convert as read
    from triaffect.training.files import write_tensors

    if out.suffix == SAFETENSORS and len(files) > 1:
        remedy = "give a folder, or convert them one by one"
        raise ModelError("one file to convert", str(len(files)), remedy, where=out)
    written: dict[Path, Path] = {}
    for file in files:
        converted = read(file, network)
        target = out if out.suffix == SAFETENSORS else out / f"{converted.network}{SAFETENSORS}"
        if target in written:
            got = f"a second one after {written[target]}"
            raise ModelError(f"one file of {converted.network}", got, where=file)
        written[target] = file
        try:
            write_tensors(target, converted.tensors)
        except DiskError as problem:
            remedy = "choose another name, or make room"
            raise ModelError("a place to write to", problem.got, remedy, where=out) from problem
        count = sum(tensor.numel() for tensor in converted.tensors.values())
        aside = f"; left out: {', '.join(converted.left_out)}" if converted.left_out else ""
        typer.echo(f"{target}: {converted.network}, {count:,} parameters{aside}")
        if not converted.numbered:
            sys.stderr.write(
                f"triaffect: warning: {file}: layers without Keras's numbers were taken in the "
                "file's order; compare an output with the program that wrote it\n"
            )


@weights_app.command()
def paper(
    out: Annotated[Path, typer.Option(help="The model folder to write.", show_default=False)],
    face: Annotated[
        Path | None,
        typer.Option(help="Weights of fer_resnet34, safetensors.", show_default=False),
    ] = None,
    voice: Annotated[
        Path | None, typer.Option(help="Weights of soundnet8, safetensors.", show_default=False)
    ] = None,
    hop: Annotated[
        str, typer.Option(help="Seconds between voice vectors, as 0.25 or 1/30.")
    ] = "1/30",
) -> None:
    """Make a model folder of the paper's face network, its voice network, or both.

    extract takes it as --face and --voice. Each voice vector is of the 10 s before its moment.
    """
    from triaffect.training.paper_folder import write_paper_folder

    if face is None and voice is None:
        raise ModelError("--face, --voice or both", "neither", where="weights paper")
    folder = write_paper_folder(out, face, voice, _seconds(hop))
    typer.echo(f"{out}: {' and '.join(folder.manifest.parts)}")


def _seconds(text: str) -> float:
    """A length of time given as a number or a fraction."""
    try:
        seconds = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        seconds = math.nan
    if not _LEAST_HOP_S <= seconds <= _MOST_HOP_S:
        wanted = f"seconds from {_LEAST_HOP_S} to {_MOST_HOP_S:.0f}, as 0.25 or 1/30"
        raise ModelError(wanted, repr(text), where="--hop")
    return seconds
