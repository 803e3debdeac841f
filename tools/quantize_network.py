"""Write the face network of a model folder in 8 bits, and compare what it costs and says.

``python -m tools.quantize_network MODEL OUTPUT.onnx --ferplus FERPLUS`` reads a model folder
("default" for the shipped one), calibrates on FER+ faces that may be learned from, writes the
network, and prints a table: processor time of a face, accuracy and macro F1 of expression on other
FER+ faces, and how far vectors move, with and without the mirror image, in single precision
and in 8 bits. The model folder stays as it is. ``--no-mirror`` writes the network without it.

Static quantization by onnxruntime: weights in 7 bits, scaled by channel, which every processor
adds up right (with 8, one without VNNI may overflow), activations in 8.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from triaffect.corpora.ferplus import expression_votes, read_arrays
from triaffect.faces.stream import FaceStream
from triaffect.features.extractors.onnx import gray64
from triaffect.features.model_folder import ModelFolder, load_model_folder
from triaffect.prediction.heads import Fusion
from triaffect.prediction.predictor import model_folder
from triaffect.tasks.registry import TASKS

BATCH, TURNS, SEED = 32, 7, 0
EXPRESSION, CLASSES = "EXPR", 8

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


def without_mirror(network: bytes) -> bytes:
    """Cut the half of a face network that sees the mirror image.

    Args:
        network: Its ONNX file.

    Returns:
        A network whose features are those of the face itself; the same file if it ends in no
        mean of two.
    """
    model = onnx.load_from_string(network)
    made_by = {name: node for node in model.graph.node for name in node.output}
    mean = made_by[model.graph.output[0].name]
    total = made_by.get(mean.input[0])
    if mean.op_type != "Div" or total is None or total.op_type != "Add":
        return network
    first = onnx.helper.make_node("Identity", [total.input[0]], list(mean.output))
    needed, rest = [], [first]
    while rest:
        node = rest.pop()
        needed.append(node)
        parents = [made_by[name] for name in node.input if name in made_by]
        rest += [each for each in parents if each not in needed and each not in rest]
    nodes = [node for node in model.graph.node if node in needed] + [first]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    weights = [each for each in model.graph.initializer if each.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return bytes(model.SerializeToString())


def aligned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn gray images (N, H, W) of faces into a network's crops, uint8, shape (N, 64, 64)."""
    faces = FaceStream()
    pictures = (np.repeat(each[:, :, None], 3, axis=2) for each in images)
    return gray64(
        np.stack([faces.read_picture(each, assume_face=True).crops[0] for each in pictures])
    )


class Scorer:
    """Scores face networks by expression, through the fusing network of their folder.

    Args:
        folder: The model folder.
        crops: Aligned faces, uint8, shape (N, 64, 64).
        truth: Number of each one's expression, shape (N,).
    """

    def __init__(
        self, folder: ModelFolder, crops: NDArray[np.uint8], truth: NDArray[np.int64]
    ) -> None:
        self._fusion, self._crops, self._truth = Fusion(folder, TASKS), crops, truth

    def vectors(self, session: onnxruntime.InferenceSession) -> NDArray[np.float32]:
        """Compute the features of every face, shape (N, D)."""
        groups = [self._crops[k : k + BATCH] for k in range(0, len(self._crops), BATCH)]
        name = session.get_inputs()[0].name
        return np.concatenate([session.run(None, {name: each})[0] for each in groups])

    def score(self, vectors: NDArray[np.float32]) -> tuple[float, float]:
        """Score features of the faces (N, D), each seen for one frame: accuracy and macro F1."""
        part, count = self._fusion.part, len(vectors)
        here = np.abs(part.window.offsets_s()) < part.window.hop_s / 2
        seen = np.repeat(here[None], count, axis=0)
        window = np.where(seen[:, :, None], vectors[:, None], 0).astype(np.float32)
        voice = np.zeros((count, part.voice_dim), np.float32), np.zeros(count, np.bool_)
        answer = self._fusion(window, seen, *voice)[EXPRESSION].argmax(axis=1)
        hits = answer == self._truth
        classes = [k for k in range(CLASSES) if (self._truth == k).any()]
        f1 = [
            2 * (hits & (answer == k)).sum() / ((answer == k).sum() + (self._truth == k).sum())
            for k in classes
        ]
        return float(hits.mean()), float(np.mean(f1))


def compare(networks: Mapping[str, bytes], scorer: Scorer, crops: NDArray[np.uint8]) -> str:
    """Print what each network costs, by turns, and how it scores; the first is what it was.

    Args:
        networks: ONNX files by name.
        scorer: Scores them.
        crops: Faces to time, uint8, shape (N, 64, 64).

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
            session.run(None, {session.get_inputs()[0].name: crops})
            seconds[name].append((time.process_time() - start_s) / len(crops))
    lines = [
        "| network | ms a face | MB | accuracy | macro F1 | vectors move by |",
        "|---" * 6 + "|",
    ]
    original: NDArray[np.float32] | None = None
    for name, session in sessions.items():
        vectors = scorer.vectors(session)
        original = vectors if original is None else original
        moved = np.abs(vectors - original).mean() / original.std()
        accuracy, f1 = scorer.score(vectors)
        size, cost = len(networks[name]) / 1e6, 1000 * np.median(seconds[name])
        lines.append(
            f"| {name} | {cost:.2f} | {size:.1f} | {accuracy:.3f} | {f1:.3f} | {moved:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Quantize, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("output", type=Path)
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument("--calibrate", type=int, default=512, help="faces to calibrate on")
    parser.add_argument("--score", type=int, default=1000, help="faces to score")
    parser.add_argument("--no-mirror", action="store_true", help="write it without the mirror")
    arguments = parser.parse_args()
    given = None if arguments.model == "default" else Path(arguments.model)
    folder = load_model_folder(model_folder(given))
    path = arguments.ferplus
    arrays = read_arrays(path / "ferplus.npz" if path.is_dir() else path)
    shares = expression_votes(arrays.votes, [str(name) for name in arrays.vote_columns])
    is_clear, rng = shares.max(axis=1) > 0.5, np.random.default_rng(SEED)  # noqa: PLR2004 - strict
    train = rng.permutation(np.flatnonzero(arrays.split == "Training"))[: arguments.calibrate]
    others = np.flatnonzero((arrays.split == "PublicTest") & is_clear)
    others = rng.permutation(others)[: arguments.score]
    crops = aligned(arrays.images[train])
    original = folder.network("face").read_bytes()
    networks = {"as it is": original, "without the mirror image": without_mirror(original)}
    name = onnx.load_from_string(original).graph.input[0].name
    inputs = [{name: crops[k : k + BATCH]} for k in range(0, len(crops), BATCH)]
    for title, each in tuple(networks.items()):
        networks[f"8 bits, {title}"] = quantize(each, inputs)
    scorer = Scorer(folder, aligned(arrays.images[others]), shares[others].argmax(axis=1))
    print(compare(networks, scorer, crops[:BATCH]))
    chosen = list(networks)[3 if arguments.no_mirror else 2]
    arguments.output.write_bytes(networks[chosen])
    print(f"\n{arguments.output}: {chosen}")


if __name__ == "__main__":
    main()
