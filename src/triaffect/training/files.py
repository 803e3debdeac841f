"""Write tensors whole or not at all; see `triaffect.io.atomic`."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from triaffect.io.atomic import make_folder, replace_file


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises:
        DiskError: It cannot be written.
    """
    make_folder(path.parent)
    with replace_file(path) as aside:
        try:
            kept = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            save_file(kept, aside, metadata)
        except SafetensorError as error:  # it hides what the system said in its own message
            raise OSError(str(error)) from error
