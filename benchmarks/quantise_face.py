"""The face network of a model folder in 8 bits: python benchmarks/quantise_face.py FERPLUS OUT.

    python benchmarks/quantise_face.py FERPLUS OUT [--model MODEL]

Static quantisation by onnxruntime: weights in 7 bits, scaled by channel, which every processor adds
up rightly (with 8, those without VNNI may not), activations in 8, ranges from 512 training faces.
The rest of the folder stays as it is. What it costs and gains: `bench_networks.py OUT`,
`score_ferplus.py OUT FERPLUS`, `check_london.py LONDON --model OUT`, and so on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from score_ferplus import crops_of

from triaffect.corpora.ferplus import read_arrays
from triaffect.features.extractors.onnx import gray64
from triaffect.features.extractors.registry import SHIPPED
from triaffect.features.model_folder import DESCRIPTION, load_model_folder, write_model_folder

FACES, BATCH, SEED = 512, 32, 0


class Faces(CalibrationDataReader):
    """Crops (N, 64, 64), batch by batch, once."""

    def __init__(self, name: str, crops: NDArray[np.uint8]) -> None:
        self._batches = iter([{name: crops[k : k + BATCH]} for k in range(0, len(crops), BATCH)])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next batch; None after the last."""
        return next(self._batches, None)


def training_faces(path: Path) -> NDArray[np.uint8]:
    """Some of the faces that may be learnt from, shape (FACES, 64, 64)."""
    arrays = read_arrays(path / "ferplus.npz" if path.is_dir() else path)
    rows = np.flatnonzero(arrays.split == "Training")
    drawn = np.random.default_rng(SEED).choice(rows, FACES, replace=False)
    return gray64(crops_of(arrays.images[np.sort(drawn)]))


def quantised(network: Path, crops: NDArray[np.uint8]) -> bytes:
    """The network in 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, made = (str(Path(folder) / name) for name in ("plain", "ready", "made"))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = plain  # weights in half precision become single
        session = onnxruntime.InferenceSession(network, options)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            made,
            Faces(session.get_inputs()[0].name, crops),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Gemm"],
        )
        return Path(made).read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ferplus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    folder = load_model_folder(arguments.model)
    crops = training_faces(arguments.ferplus)
    files: dict[str, bytes | Path] = {
        path.name: path for path in folder.path.iterdir() if path.name != DESCRIPTION
    }
    files["face.onnx"] = quantised(folder.network("face"), crops)
    write_model_folder(arguments.out, folder.manifest, files)
    print(f"{arguments.out}: a face network of {len(files['face.onnx']) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
