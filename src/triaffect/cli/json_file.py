"""Writing what a command found as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_json_file(path: Path, content: Any) -> None:  # noqa: ANN401 - anything JSON can say
    """Write indented JSON aside and rename it; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    aside.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    aside.replace(path)
