"""Loads what the first export of a process loads, by doing one; for processes that are forked."""

import torch

from triaffect.training.export import to_onnx

torch.set_num_threads(1)
to_onnx(torch.nn.Linear(2, 2), {"x": torch.zeros(2, 2)}, ["y"])
