"""Where the real data lies that some tests read in place."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

needs_shared = pytest.mark.skipif(
    not (SHARED / "data").is_dir(), reason=f"needs the real data beside the repository ({SHARED})"
)
