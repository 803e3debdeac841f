"""Write a file aside and rename it, so that a kill never leaves half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - anything JSON can say
    """Write indented JSON."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, aside, metadata)
    aside.replace(path)
