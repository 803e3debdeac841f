"""A fourth task, as someone would add one: how much pain a face shows, from 0 to 1."""

import numpy as np
from torch import Tensor
from typing_extensions import override

from triaffect.tasks.losses import binary_loss
from triaffect.tasks.task import PLAIN_LOSS, LossOptions, Task, TaskScore


class Pain(Task):
    """One number through a sigmoid, scored by 1 - mean absolute error."""

    key = "PAIN"
    name = "pain"
    columns = ("pain",)
    display_range = (0.0, 1.0)
    metric = "1-MAE"

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    @override
    def loss(self, raw, target, valid, weight, options: LossOptions = PLAIN_LOSS):
        return binary_loss(raw, target, valid, weight, options.reading)

    @override
    def accumulator(self):
        return _Closeness()

    @override
    def chance(self, truth, valid):
        kept = truth[valid]
        return 1 - float(np.abs(kept - np.median(kept)).mean()) if len(kept) else 0.0


class _Closeness:
    def __init__(self):
        self.error, self.count = 0.0, 0

    def update(self, truth, prediction, valid):
        self.error += float(np.abs(truth - np.nan_to_num(prediction))[valid].sum())
        self.count += int(valid.sum())

    def compute(self):
        value = 1 - self.error / self.count if self.count else 0.0
        return TaskScore(value, {"pain": value}, self.count)


PAIN = Pain()
