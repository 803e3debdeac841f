"""The repository's own files, as the tests of its shape see them."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "triaffect"


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that are, or would be, under version control; all but hidden folders without git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        found = [ROOT / name for name in listed.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        found = [
            path for path in ROOT.rglob("*") if not path.relative_to(ROOT).parts[0].startswith(".")
        ]
    return tuple(sorted(path for path in found if path.is_file()))


def text_of(path: Path) -> str:
    """A file's text; empty for one that is not text."""
    content = path.read_bytes()
    return "" if b"\0" in content[:4096] else content.decode("utf-8", "replace")


@cache
def modules() -> dict[str, ast.Module]:
    """Parsed source by path relative to the package, such as ``"tasks/task.py"``."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that are only there to be read."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
