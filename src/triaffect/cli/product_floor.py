"""The matrix products of the paper's network alone: what no way of training it can leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from triaffect.models.paper import PaperNet

Product = Callable[[], object]


def floor_step(net: nn.Module, batches: Mapping[str, int], window: int) -> Callable[[], int]:
    """One iteration of the teacher's updates, reduced to its products; gives the rows.

    Of each update the forward products of every layer, and backward those of the weights and
    of the inputs that something learns from: not of the features, nor in heads and
    discriminator that the update teaches nothing. Products that may be one over all instants
    are one. Operands are random, results are written over one another.

    Args:
        net: A `PaperNet`; gives the sizes.
        batches: Rows of each update by kind.
        window: Face vectors of a row.
    """
    if not isinstance(net, PaperNet):
        raise TypeError("the floor is counted for the paper's network alone")
    products = [
        product
        for kind, rows in batches.items()
        for product in (*_lstm(net, rows, window), *_dense(net, kind, rows))
    ]

    def step() -> int:
        for product in products:
            product()
        return sum(batches.values())

    return step


def _lstm(net: PaperNet, rows: int, window: int) -> Iterator[Product]:
    gates, width = net.lstm.weight_ih.shape
    units = net.lstm.weight_hh.shape[1]
    yield from _forward(rows * window, width, gates)
    yield from _to_weights(rows * window, width, gates)
    yield from _to_weights(rows * (window - 1), units, gates)
    for _ in range(window - 1):
        yield from _forward(rows, units, gates)
        yield from _to_inputs(rows, units, gates)


def _dense(net: PaperNet, kind: str, rows: int) -> Iterator[Product]:
    for name, layer in net.named_modules():
        if not isinstance(layer, nn.Linear):
            continue
        width, outputs = layer.in_features, layer.out_features
        yield from _forward(rows, width, outputs)
        if _learns(name, kind):
            # Of what enters the trunk only the LSTM's state has anything to learn.
            taught = net.lstm.weight_hh.shape[1] if name == "trunk.0.0" else width
            yield from _to_weights(rows, width, outputs)
            yield from _to_inputs(rows, taught, outputs)


def _learns(name: str, kind: str) -> bool:
    """Whether a teacher's update of this kind teaches the layer of this name."""
    if name.startswith("discriminator"):
        return kind != "MTL"
    return not name.startswith("heads") or kind == "MTL" or name.split(".")[1] == kind


def _forward(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, inputs), torch.randn(outputs, inputs).t())


def _to_inputs(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, outputs), torch.randn(outputs, inputs))


def _to_weights(rows: int, inputs: int, outputs: int) -> Iterator[Product]:
    yield _product(torch.randn(rows, outputs).t(), torch.randn(rows, inputs))


def _product(left: Tensor, right: Tensor) -> Product:
    result = left.new_empty(left.shape[0], right.shape[1])
    return lambda: torch.mm(left, right, out=result)
