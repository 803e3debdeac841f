"""The shipped networks alone: python benchmarks/bench_networks.py [MODEL].

One thread, numpy's too, by processor time, in turns: face crops to vectors, one and 32 at
a time, and seconds of sound a second, from samples to vectors. Prints the files' sizes beside.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import Measurement, measure_in_turns, report
from threadpoolctl import threadpool_limits

from triaffect.features.extractors.onnx import OnnxFace, OnnxVoice
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import load_model_folder

RESULT = Path(__file__).parent / "results" / "networks.json"
SECONDS, REPEATS, SEED, SOUND_S = 1.0, 5, 0, 10


def faces(network: OnnxFace, count: int) -> Callable[[], int]:
    """One call with so many random crops; gives their number."""
    crops = np.random.default_rng(SEED).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)
    return lambda: len(network(crops))


def sound(network: OnnxVoice) -> Callable[[], int]:
    """One pass over a random sound; gives its seconds."""
    rate = network.spec.rate
    samples = np.random.default_rng(SEED).normal(0, 0.1, SOUND_S * rate).astype(np.float32)
    chunks = np.array_split(samples, SOUND_S)

    def run() -> int:
        for _ in network.stream(chunks):
            pass
        return SOUND_S

    return run


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED
    folder = load_model_folder(path)
    face, voice = OnnxFace(folder), OnnxVoice(folder)
    steps = {f"face, {count} at a time": faces(face, count) for count in (1, 32)}
    measured = measure_in_turns(steps, "faces/s", SECONDS, REPEATS, time.process_time)
    heard = measure_in_turns(
        {"voice": sound(voice)}, "s of sound/s", SECONDS, REPEATS, time.process_time
    )
    sizes = [
        Measurement(name, "MB", ((path / name).stat().st_size / 1e6,))
        for name in ("face.onnx", "voice.onnx", "fusion.onnx")
    ]
    told = [*measured.values(), *heard.values(), *sizes]
    report("networks", told, {"threads": 1, "seed": SEED}, RESULT)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
