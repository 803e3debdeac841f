"""A fourth task, as someone would add one: how much pain a face shows, from 0 to 1."""

import numpy as np
from torch import Tensor
from typing_extensions import override

from triaffect.tasks.losses import binary_loss
from triaffect.tasks.task import PLAIN_LOSS, LossOptions, Task


class Pain(Task):
    """One number through a sigmoid, scored by 1 - mean absolute error."""

    key = "PAIN"
    name = "pain"
    columns = part_names = ("pain",)
    display_range = (0.0, 1.0)
    metric = "1-MAE"

    @override
    def activate(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    @override
    def loss(self, raw, target, valid, weight, options: LossOptions = PLAIN_LOSS):
        return binary_loss(raw, target, valid, weight, options.reading)

    @override
    def statistics(self, truth, prediction, valid, group, groups):
        error = np.where(valid, np.abs(truth - np.nan_to_num(prediction)), 0)[:, 0]
        rows = [np.bincount(group, each, groups) for each in (valid[:, 0], error)]
        return np.stack(rows, axis=1)

    @override
    def part_scores(self, statistics):
        count, error = statistics[..., :1], statistics[..., 1:]
        return np.where(count > 0, 1 - error / np.maximum(count, 1), 0)

    @override
    def chance(self, truth, valid):
        kept = truth[valid]
        return 1 - float(np.abs(kept - np.median(kept)).mean()) if len(kept) else 0.0


PAIN = Pain()
