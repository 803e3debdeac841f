"""Convert the paper's extractors from weight files of other programs: python -m tools.keras_import.

Run it in a checkout of the repository; it needs the packages of the `dev` extra (h5py).
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from triaffect.errors import DiskError, ModelError, TriaffectError

SAFETENSORS = ".safetensors"
_LEAST_HOP_S, _MOST_HOP_S = 0.001, 3600.0

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Weights of the paper's extractors, from files of your own.",
)


@app.command()
def convert(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Keras .h5, .hdf5 or .keras, a TensorFlow checkpoint or SavedModel, or .npz.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            "--out",
            help="A .safetensors file, or a folder for several.",
            show_default=False,
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            help="fer_resnet34 or soundnet8; by default recognized by the first layer.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert weights of the paper's extractors to safetensors; no code in a file is run.

    Layers are matched by their order and shapes, whatever their names. Layers behind the features,
    such as the valence-arousal head, are left out.
    """
    from tools.keras_import.convert import convert as read
    from triaffect.training.checkpoint import write_tensors

    if output.suffix == SAFETENSORS and len(files) > 1:
        remedy = "give a folder, or convert them one by one"
        raise ModelError("one file to convert", str(len(files)), remedy, where=output)
    written: dict[Path, Path] = {}
    for file in files:
        weights = read(file, network)
        single = output.suffix == SAFETENSORS
        target = output if single else output / f"{weights.network}{SAFETENSORS}"
        if target in written:
            got = f"a second one after {written[target]}"
            raise ModelError(f"one file of {weights.network}", got, where=file)
        written[target] = file
        try:
            write_tensors(target, weights.tensors)
        except DiskError as problem:
            remedy = "choose another name, or make room"
            raise ModelError("a place to write to", problem.got, remedy, where=output) from problem
        count = sum(tensor.numel() for tensor in weights.tensors.values())
        rest = f"; left out: {', '.join(weights.left_out)}" if weights.left_out else ""
        typer.echo(f"{target}: {weights.network}, {count:,} parameters{rest}")
        if not weights.numbered:
            sys.stderr.write(
                f"keras_import: warning: {file}: layers without Keras's numbers were taken in the "
                "file's order; compare an output with the program that wrote it\n"
            )


@app.command()
def paper(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", "--out", help="The model folder to write.", show_default=False
        ),
    ],
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

    ``triaffect extract`` takes it as --face and --voice. Each voice vector is of the 10 s before
    its moment.
    """
    from tools.keras_import.paper_folder import write_paper_folder

    if face is None and voice is None:
        raise ModelError("--face, --voice or both", "neither", where="keras_import paper")
    folder = write_paper_folder(output, face, voice, _parse_hop(hop))
    typer.echo(f"{output}: {' and '.join(folder.manifest.parts)}")


def _parse_hop(text: str) -> float:
    """Parse seconds given as a number or a fraction."""
    try:
        seconds = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        seconds = math.nan
    if not _LEAST_HOP_S <= seconds <= _MOST_HOP_S:
        expected = f"seconds from {_LEAST_HOP_S} to {_MOST_HOP_S:.0f}, as 0.25 or 1/30"
        raise ModelError(expected, repr(text), where="--hop")
    return seconds


def main() -> None:
    """Run the command line; a user's mistake ends in one line and exit code 2."""
    try:
        app()
    except TriaffectError as error:
        sys.stderr.write(f"keras_import: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
