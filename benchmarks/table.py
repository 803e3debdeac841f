"""One table of everything that was measured: python benchmarks/table.py [--folder DIR].

Reads the JSON files that `bench.py` and the scripts beside this one write, and says on
which machine each was made. `make bench` ends with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from measure import format_number
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def read(folder: Path) -> list[dict[str, Any]]:
    """Every benchmark's result, by its name."""
    files = sorted(folder.glob("*.json"))
    if not files:
        sys.exit(f"no JSON files in {folder}: run make bench, or give --folder")
    results = [json.loads(file.read_text("utf-8")) for file in files]
    return sorted(results, key=lambda each: str(each["benchmark"]))


def machine_of(result: dict[str, Any]) -> str:
    """A line about the machine and what ran on it."""
    host = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in host["versions"].items())
    python = f"Python {host['python']}"
    return f"{host['processor']}, {host['cores']} cores, {host['system']}; {python}, {versions}"


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
        number = str(machines.index(machine_of(result)) + 1)
        made.add_section()
        for k, each in enumerate(result["results"]):
            numbers = (each["median"], min(each["values"]), max(each["values"]))
            first = str(result["benchmark"]) if k == 0 else ""
            row = (first, each["name"], *map(format_number, numbers), each["unit"])
            made.add_row(*row, *[number] * several)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=RESULTS, help="of JSON files")
    results = read(parser.parse_args().folder)
    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False, markup=False).print(table(results))


if __name__ == "__main__":
    main()
