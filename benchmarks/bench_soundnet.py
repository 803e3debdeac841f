"""SoundNet at four hops, sharing none, one or two layers: python benchmarks/bench_soundnet.py.

Random weights and random sound; one thread, by processor time, so that other work beside it
matters less. "whole" is SoundNet as one network over each window, 32 windows at once.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Measurement, measure, report

from triaffect.features.extractors.onnx import BATCH, OnnxNetwork
from triaffect.features.extractors.soundnet import (
    BOTH,
    FIRST,
    PLAIN,
    RATE,
    Blocks,
    Segments,
    SoundNet,
    best_share,
)
from triaffect.models.soundnet import SoundNet8
from triaffect.training.export import to_onnx
from triaffect.types import Window

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script sees its own folder only, not `tools` beside it

from tools.keras_import.paper_folder import SPAN_S, soundnet_files  # noqa: E402

RESULT = Path(__file__).parent / "results" / "soundnet.json"
HOPS = (1 / 30, 0.1, 0.25, 1.0)
SECONDS, REPEATS, SEED = 30, 3, 0
SHARED = {"plain": PLAIN, "first": FIRST, "both": BOTH}


def networks(folder: Path) -> tuple[OnnxNetwork, Blocks]:
    """SoundNet as one network, and in three."""
    torch.manual_seed(SEED)
    net = SoundNet8().eval()
    samples = round(SPAN_S * RATE)
    files = {"whole.onnx": to_onnx(net, {"wave": torch.rand(2, samples)}, ["features"])}
    files |= soundnet_files(net, samples)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    whole, *parts = (OnnxNetwork(folder / name) for name in files)
    return whole, Blocks(*(part.run for part in parts))


def rows(runner: Callable[[Iterable[Any]], Iterable[Any]], hop_s: float) -> Callable[[], int]:
    """One pass over a sound; gives the seconds that have rows."""
    sound = np.random.default_rng(SEED).uniform(-255, 255, round((SPAN_S + SECONDS) * RATE))
    chunks = np.array_split(sound.astype(np.float32), 20)
    return lambda: round(sum(len(times_s) for times_s, _ in runner(chunks)) * hop_s)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS
    measured: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        whole, blocks = networks(Path(folder))
        for hop_s in HOPS:
            window = Window(SPAN_S, hop_s)
            cut = Segments(window, RATE, None, BATCH)
            runners = {"whole": lambda chunks, cut=cut: ((t, whole.run(x)) for t, x in cut(chunks))}
            for name, share in SHARED.items():
                chosen = "*" if share == best_share(window) else ""
                runners[name + chosen] = SoundNet(blocks, window, share)
            for name, runner in runners.items():
                named, step = f"hop {hop_s:.3f} s, {name}", rows(runner, hop_s)
                unit = "s of sound/s"
                measured.append(measure(named, unit, step, 0.0, repeats, time.process_time))
    settings = {"threads": 1, "seed": SEED, "seconds": SECONDS, "chosen": "*"}
    report("soundnet", measured, settings, RESULT)


if __name__ == "__main__":
    main()
