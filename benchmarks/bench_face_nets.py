"""Face networks of about equal cost: python benchmarks/bench_face_nets.py [SECONDS].

Exported as for a model folder and run by onnxruntime on one thread, one crop and 32 crops at a
time, by processor time, all in turns. Random weights: they change no speed. Prints the size of the
exported file beside them. The first has the sizes of the first shipped weights; "same sizes" shows
what attention costs; the others are made narrower, deeper or wider so that 32 crops cost about the
same.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import Measurement, measure_in_turns, report

from triaffect.io.onnx_session import open_session
from triaffect.models.light_face import LightFace, LightFaceSpec
from triaffect.tasks.registry import task
from triaffect.training.export import FeatureEncoder, to_onnx

RESULT = Path(__file__).parent / "results" / "face_nets.json"
SECONDS, REPEATS, SEED = 0.5, 5, 0
PLAIN = LightFaceSpec(kind="light_face")
NETS = {
    "plain": PLAIN,
    "channel, same sizes": PLAIN.model_copy(update={"attention": "channel"}),
    "channel_spatial, same sizes": PLAIN.model_copy(update={"attention": "channel_spatial"}),
    "channel_spatial": PLAIN.model_copy(
        update={"attention": "channel_spatial", "widths": (24, 48, 104, 184)}
    ),
    "wide and shallow": PLAIN.model_copy(
        update={"widths": (36, 76, 144, 248), "blocks": (1, 1, 1, 1)}
    ),
    "narrow and deep": PLAIN.model_copy(
        update={"widths": (24, 44, 88, 144), "blocks": (1, 3, 4, 2)}
    ),
}


def export(spec: LightFaceSpec, folder: Path) -> Path:
    """A network of this build with random weights, as a file."""
    torch.manual_seed(SEED)
    net = LightFace([task("EXPR")], **spec.model_dump(exclude={"kind"}))
    crops = torch.zeros((2, 64, 64), dtype=torch.uint8)
    path = folder / "face.onnx"
    path.write_bytes(to_onnx(FeatureEncoder(net), {"crops": crops}, ["features"]))
    return path


def runs(path: Path, batch: int) -> Callable[[], int]:
    """One batch of random crops; gives its size."""
    session = open_session(path)
    crops = np.random.default_rng(SEED).integers(0, 256, (batch, 64, 64)).astype(np.uint8)

    def run() -> int:
        session.run(None, {"crops": crops})
        return batch

    return run


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    torch.set_num_threads(1)
    steps, sizes = {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in NETS.items():
            path = export(spec, Path(folder))
            sizes.append(Measurement(name, "MB", (path.stat().st_size / 1e6,)))
            steps |= {f"{name}, {batch} at a time": runs(path, batch) for batch in (1, 32)}
        measured = measure_in_turns(steps, "faces/s", seconds, REPEATS, time.process_time)
    told = [*measured.values(), *sizes]
    report("face_nets", told, {"threads": 1, "seed": SEED}, RESULT)


if __name__ == "__main__":
    main()
