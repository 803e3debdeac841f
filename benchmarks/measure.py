"""Measure repeatedly; report as a table and a JSON file, with the machine they were made on."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from triaffect.io.atomic import write_json
from triaffect.io.workers import count_cores

PACKAGES = ("triaffect", "numpy", "torch", "onnxruntime", "av", "opencv-python-headless", "pyarrow")
"""Packages whose versions matter to speed and memory."""


@dataclass(frozen=True)
class Measurement:
    """Something measured several times.

    Attributes:
        name: What it was.
        unit: Such as ``"samples/s"``.
        values: One measurement each.
    """

    name: str
    unit: str
    values: tuple[float, ...]

    @property
    def key(self) -> str:
        """Name and unit as one word, such as ``teacher.samples_per_s``."""
        return f"{self.name}.{self.unit}".replace("/", "_per_").replace(" ", "_").lower()

    @property
    def median(self) -> float:
        """The middle measurement: one disturbed by other work does not move it."""
        return statistics.median(self.values)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 3),
            "values": [round(value, 3) for value in self.values],
        }


def measure(
    name: str,
    unit: str,
    step: Callable[[], int],
    seconds: float,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Measurement:
    """Repeat a step and count what it got done.

    Args:
        name: What it is.
        unit: Unit of the rate.
        step: Does some work and returns how much, in units.
        seconds: Each measurement goes on at least so long.
        repeats: How many measurements; a first step, not counted, warms up.
        clock: Returns seconds; `time.process_time` leaves out other processes' work.
    """
    step()
    values = tuple(_once(step, seconds, clock) for _ in range(repeats))
    return Measurement(name, unit, values)


def measure_in_turns(
    steps: Mapping[str, Callable[[], int]],
    unit: str,
    seconds: float,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Measurement]:
    """`measure` several steps, each once in every round: what disturbs, disturbs all of them.

    Args:
        steps: What to repeat, by name.
        unit: Of all of them.
        seconds: Each measurement goes on at least so long.
        repeats: Rounds.
        clock: Returns seconds.
    """
    for step in steps.values():
        step()
    rounds = [[_once(step, seconds, clock) for step in steps.values()] for _ in range(repeats)]
    values = zip(*rounds, strict=True)
    return {name: Measurement(name, unit, each) for name, each in zip(steps, values, strict=True)}


def share(of: Measurement, whole: Measurement) -> Measurement:
    """Divide one measurement by another, round by round."""
    values = (one / other for one, other in zip(of.values, whole.values, strict=True))
    return Measurement(of.name, f"share of {whole.name}", tuple(values))


def _once(step: Callable[[], int], seconds: float, clock: Callable[[], float]) -> float:
    done, start_s = 0, clock()
    while True:
        done += step()
        elapsed_s = clock() - start_s
        if elapsed_s >= seconds:
            return done / elapsed_s


def machine() -> dict[str, Any]:
    """Describe the machine; nothing that names the computer or its owner."""
    return {
        "processor": _processor(),
        "cores": count_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: text for name in PACKAGES if (text := _version(name))},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def format_number(number: float) -> str:
    """Format to four significant digits, a large number without decimals."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def report(
    benchmark: str,
    measured: Sequence[Measurement],
    settings: Mapping[str, Any],
    json_file: Path | None,
) -> None:
    """Print measurements as a table, and write them with all that decided them to a file.

    Args:
        benchmark: Name of the benchmark.
        measured: What was measured.
        settings: Seed, threads, sizes.
        json_file: Where to write; None for nowhere.
    """
    host = machine()
    where = f"{host['processor']}, {host['cores']} cores"
    table = Table("", "median", "lowest", "highest", "unit", title=f"{benchmark} ({where})")
    for each in measured:
        numbers = (each.median, min(each.values), max(each.values))
        table.add_row(each.name, *map(format_number, numbers), each.unit)
    Console().print(table)
    if json_file is not None:
        results = [each.to_json() for each in measured]
        content = {
            "benchmark": benchmark,
            "settings": dict(settings),
            "machine": host,
            "results": results,
            "keys": {each.key: round(each.median, 3) for each in measured},
        }
        write_json(json_file, content)
