"""``triaffect weights``: the paper's extractors from weight files to a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from triaffect.errors import ModelError

SAFETENSORS = ".safetensors"

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
    from triaffect.nets.convert import convert as read
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
        write_tensors(target, converted.tensors)
        count = sum(tensor.numel() for tensor in converted.tensors.values())
        aside = f"; left out: {', '.join(converted.left_out)}" if converted.left_out else ""
        typer.echo(f"{target}: {converted.network}, {count:,} parameters{aside}")
