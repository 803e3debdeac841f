"""One table of everything that was measured: python benchmarks/table.py [--folder DIR].

Reads the JSON files that `triaffect bench` and the scripts beside this one write, and says on
which machine each was made. `make bench` ends with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from triaffect.cli.measure import shown

RESULTS = Path(__file__).parent / "results"


def read(folder: Path) -> list[dict[str, Any]]:
    """Every benchmark's result, by its name."""
    files = sorted(folder.glob("*.json"))
    if not files:
        sys.exit(f"no JSON files in {folder}: run make bench, or give --folder")
    found = [json.loads(file.read_text("utf-8")) for file in files]
    return sorted(found, key=lambda each: str(each["benchmark"]))


def machine_of(result: dict[str, Any]) -> str:
    """A line about the machine and what ran on it."""
    about = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    python = f"Python {about['python']}"
    return f"{about['processor']}, {about['cores']} cores, {about['system']}; {python}, {versions}"


def table(results: list[dict[str, Any]]) -> Table:
    """A row for each measurement; the machines stand below."""
    machines = list(dict.fromkeys(map(machine_of, results)))
    several = len(machines) > 1
    columns = ["benchmark", "", "median", "lowest", "highest", "unit", *["machine"] * several]
    lines = [f"{k}: {name}" for k, name in enumerate(machines, 1)] if several else machines
    made = Table(title="all benchmarks", caption="\n".join(lines), caption_justify="left")
    for name in columns:
        made.add_column(
            name, justify="right" if name in ("median", "lowest", "highest") else "left"
        )
    for result in results:
        place = str(machines.index(machine_of(result)) + 1)
        made.add_section()
        for k, each in enumerate(result["results"]):
            numbers = (each["median"], min(each["values"]), max(each["values"]))
            first = str(result["benchmark"]) if k == 0 else ""
            row = (first, each["name"], *map(shown, numbers), each["unit"])
            made.add_row(*row, *[place] * several)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of JSON files")
    results = read(parser.parse_args().folder)
    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False, markup=False).print(table(results))


if __name__ == "__main__":
    main()
