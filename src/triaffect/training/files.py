"""JSON and tensors written whole or not at all; see `triaffect.io.atomic`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from triaffect.io.atomic import make_folder, replacing, write_text


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - anything JSON can say
    """Write indented JSON.

    Raises:
        DiskError: It cannot be written.
    """
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file.

    Raises:
        DiskError: It cannot be written.
    """
    make_folder(path.parent)
    with replacing(path) as aside:
        try:
            kept = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
            save_file(kept, aside, metadata)
        except SafetensorError as error:  # it hides what the system said in its own message
            raise OSError(str(error)) from error
