"""Write a face network in 8 bits, and compare what it costs and says.

``python -m tools.quantize_network MODEL OUTPUT --store CROPS`` reads a model folder with a face
network of gray crops and the weights it was trained from (`triaffect train light_face_multitask`),
and writes another one with that network in 8 bits. A store is then extracted, and a model trained,
with the network as it will be used. It calibrates on training people's crops of the store, and
prints a table of its validation people: processor time of a face, accuracy and macro F1 of
expression where more than half of the votes agree, the mean correlation of action units' logits
with those of their labels, and how far vectors move.

Static quantization by onnxruntime: weights in 7 bits, scaled by channel, which every processor
adds up right (with 8, one without VNNI may overflow), activations in 8.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.numpy import load_file

from triaffect.errors import TriaffectError
from triaffect.features.extractors.onnx import GRAY_SIDE
from triaffect.features.model_folder import load_model_folder, write_model_folder
from triaffect.features.store import FeatureStore
from triaffect.tasks.action_units import ACTION_UNITS
from triaffect.tasks.expression import EXPRESSION
from triaffect.types import Split

BATCH, TURNS, SEED = 32, 7, 0
MOST_LOGITS = 5.0

Inputs = Mapping[str, NDArray[Any]]


class Batches(CalibrationDataReader):  # type: ignore[misc]  # it has no types
    """Inputs of a network, one after another, once."""

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self._rest = iter(inputs)

    def get_next(self) -> Inputs | None:
        """Return the next inputs; None after the last."""
        return next(self._rest, None)


def quantize(
    network: bytes,
    inputs: Sequence[Inputs],
    kinds: Sequence[str] = ("Conv", "Gemm"),
    stays_float: Callable[[onnx.NodeProto], bool] = lambda node: False,
) -> bytes:
    """Quantize a network.

    Args:
        network: Its ONNX file; weights in half precision become single first.
        inputs: What it is calibrated on.
        kinds: Operators to quantize.
        stays_float: Tells which nodes of those kinds are left as they are.

    Returns:
        The network with 8-bit activations and 7-bit weights, as an ONNX file.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain, ready, made = (str(Path(folder) / name) for name in ("plain", "ready", "made"))
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = plain
        onnxruntime.InferenceSession(network, options)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        nodes = onnx.load(ready).graph.node
        quantize_static(
            ready,
            made,
            Batches(inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(kinds),
            nodes_to_exclude=[n.name for n in nodes if n.op_type in kinds and stays_float(n)],
        )
        return Path(made).read_bytes()


@dataclass(frozen=True)
class Faces:
    """Crops of some people, and their labels.

    Attributes:
        crops: uint8, shape (N, 64, 64).
        votes: Shares of votes for expressions, NaN where there are none, shape (N, 8).
        units: Probabilities of action units, NaN where there is no label, shape (N, 12).
    """

    crops: NDArray[np.uint8]
    votes: NDArray[np.float64]
    units: NDArray[np.float64]


def read_faces(store: FeatureStore, split: Split) -> Faces:
    """Read the crops of one split that have a label, one a moment."""
    table = store.moments.table.to_pandas()
    table = table[table["split"] == split]
    rows = {
        (store.sources[source], int(track), int(frame)): row
        for row, (source, track, frame) in enumerate(
            zip(store.face_source, store.face_track, store.face_frame, strict=True)
        )
    }
    at = [
        rows.get((each.source, int(each.track), int(each.frame)), -1) for each in table.itertuples()
    ]
    table, found = table[np.array(at) >= 0], [row for row in at if row >= 0]
    crops = np.asarray(store.face[found]).reshape(-1, GRAY_SIDE, GRAY_SIDE)
    votes, units = (table[list(task.columns)].to_numpy() for task in (EXPRESSION, ACTION_UNITS))
    return Faces(crops, votes, units)


def score(
    vectors: NDArray[np.float32], heads: Mapping[str, NDArray[Any]], faces: Faces
) -> tuple[float, float, float]:
    """Score vectors (N, D) by the heads: accuracy, macro F1, mean correlation of units."""

    def raw(key: str) -> NDArray[np.float64]:
        weight, bias = heads[f"heads.{key}.weight"], heads[f"heads.{key}.bias"]
        return np.asarray(vectors @ weight.astype(np.float32).T + bias.astype(np.float32))

    clear = np.nan_to_num(faces.votes).max(axis=1) > 0.5  # noqa: PLR2004 - a strict majority
    truth = faces.votes[clear].argmax(axis=1)
    answer = raw(EXPRESSION.key)[clear].argmax(axis=1)
    hits = answer == truth
    f1 = [
        2 * (hits & (answer == k)).sum() / ((answer == k).sum() + (truth == k).sum())
        for k in np.unique(truth)
    ]
    logits, agreement = raw(ACTION_UNITS.key), []
    for unit in range(ACTION_UNITS.width):
        labeled = ~np.isnan(faces.units[:, unit])
        p = faces.units[labeled, unit].clip(1e-6, 1 - 1e-6)
        wanted = np.log(p / (1 - p)).clip(-MOST_LOGITS, MOST_LOGITS)
        agreement.append(np.corrcoef(logits[labeled, unit], wanted)[0, 1])
    return float(hits.mean()), float(np.mean(f1)), float(np.mean(agreement))


def compare(networks: Mapping[str, bytes], heads: Mapping[str, NDArray[Any]], faces: Faces) -> str:
    """Compute what each network costs, by turns, and how it scores; the first is what it was.

    Args:
        networks: ONNX files by name.
        heads: Parameters of the heads.
        faces: To time and score on.

    Returns:
        A Markdown table.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(each, options) for name, each in networks.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(TURNS):
        for name, session in sessions.items():
            start_s = time.process_time()
            session.run(None, {session.get_inputs()[0].name: faces.crops[:BATCH]})
            seconds[name].append((time.process_time() - start_s) / BATCH)
    lines = [
        "| network | ms a face | MB | accuracy | macro F1 | units' r | vectors move by |",
        "|---" * 7 + "|",
    ]
    original: NDArray[np.float32] | None = None
    for name, session in sessions.items():
        key = session.get_inputs()[0].name
        groups = [faces.crops[k : k + BATCH] for k in range(0, len(faces.crops), BATCH)]
        vectors = np.concatenate([session.run(None, {key: each})[0] for each in groups])
        original = vectors if original is None else original
        moved = np.abs(vectors - original).mean() / original.std()
        size, cost = len(networks[name]) / 1e6, 1000 * np.median(seconds[name])
        scores = " | ".join(f"{each:.4f}" for each in score(vectors, heads, faces))
        lines.append(f"| {name} | {cost:.2f} | {size:.1f} | {scores} | {moved:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Quantize, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--store", type=Path, required=True, help="a store of gray64 crops")
    parser.add_argument("--calibrate", type=int, default=512, help="faces to calibrate on")
    arguments = parser.parse_args()
    folder, store = load_model_folder(arguments.model), FeatureStore.open(arguments.store)
    training = read_faces(store, Split.TRAIN).crops
    chosen = np.random.default_rng(SEED).permutation(len(training))[: arguments.calibrate]
    original = folder.network("face").read_bytes()
    name = onnx.load_from_string(original).graph.input[0].name
    crops = training[chosen]
    inputs = [{name: crops[k : k + BATCH]} for k in range(0, len(crops), BATCH)]
    networks = {"as it is": original, "8 bits": quantize(original, inputs)}
    weights = folder.file("face.safetensors")
    print(compare(networks, load_file(weights), read_faces(store, Split.VALIDATION)))
    files: dict[str, bytes | Path] = {
        "face.onnx": networks["8 bits"],
        "face.safetensors": weights,
    }
    write_model_folder(arguments.output, folder.manifest, files)
    print(f"\n{arguments.output}: 8 bits")


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
