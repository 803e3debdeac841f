"""A voice network that first learns to describe sounds: pretrain_voice.py STORE.

    triaffect extract … --voice logmel64_pitch  # as in train-the-shipped-model.md
    python benchmarks/pretrain_voice.py STORE --describe 2000 --batches 5500
    python benchmarks/pretrain_voice.py STORE --batches 1200 --leave-out ased --leave-out korean

A network of the shipped kind learns, from random weights and without labels, for ``--describe``
batches of 64 to say 49 numbers of a segment (`describe`: pitch, voicing, loudness and its
modulation, spectrum) from the same segment varied; then expressions and arousal for ``--batches``
by the losses, weights, variations and mixing of the recipe `light_voice_corpora`, all layers. The
network reads no pitch; STORE holds it for the 49 numbers. Nobody is learned from whose split is
"test", nor anybody of a corpus that is left out. At the end, and now and then before, it prints the
mean recall by corpus as `score_voice_corpora.py` has it: of test people, of corpora left out
everybody's. bfloat16, one thread, seed 0.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import score_voice_corpora as by_corpus
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from triaffect.datasets.augmentation.augment import vary_logmel
from triaffect.datasets.augmentation.mixup import fade_labels, mix_rows, splice
from triaffect.datasets.augmentation.spectra import spoil
from triaffect.datasets.batches import InputArrays, Rows, balanced, take
from triaffect.datasets.spectra import LogmelSamples
from triaffect.errors import TriaffectError
from triaffect.features.store import FeatureStore
from triaffect.models.light_voice import LOUD, VOICED, LightVoice
from triaffect.tasks.expression import EXPRESSION
from triaffect.tasks.registry import resolve_tasks
from triaffect.tasks.valence_arousal import VALENCE_AROUSAL
from triaffect.training.optimizers import ExponentialMovingAverage
from triaffect.types import FloatArray, IntArray, Split
from triaffect.voice.log_mel import BANDS, ROWS_PER_S

TASKS = resolve_tasks((VALENCE_AROUSAL.key, EXPRESSION.key))
BATCH, SPAN_S, WIDTHS = 64, 3.0, (24, 48, 96, 160)
MIXED, SPOILED, AROUSAL_WEIGHT = 0.7, 0.3, 0.5
DESCRIBING_RATE, RATE, DECAY, AVERAGE = 2e-3, 1e-3, 0.05, 0.995
FEWEST = 15
"""Rows that a number is computed from."""
LARGEST_STEP = 0.3
"""Octaves a row: more is a mistake of the pitch."""
MODULATION_HZ = ((0.5, 2), (2, 4), (4, 8), (8, 16))
GROUPS = 16
"""Of bands, whose power beside the whole is described."""


@dataclass
class _Numbers:
    """Numbers of N segments, collected one by one, NaN where there are too few rows."""

    values: list[FloatArray] = field(default_factory=list)

    def add(self, rows: FloatArray, counts: NDArray[np.bool_], *, spread: bool = True) -> None:
        """Mean and, with ``spread``, deviation of rows (N, T) where they count."""
        count = counts.sum(1)
        enough = np.where(count >= FEWEST, 1.0, np.nan)
        mean = (rows * counts).sum(1) / np.maximum(count, 1)
        self.values.append(mean * enough)
        if spread:
            square = ((rows - mean[:, None]) ** 2 * counts).sum(1) / np.maximum(count, 1)
            self.values.append(np.sqrt(square) * enough)

    def add_range(self, rows: FloatArray, counts: NDArray[np.bool_], *, median: bool) -> None:
        """From the 10th to the 90th percentile of rows (N, T) where they count."""
        there = counts.sum(1) >= FEWEST
        kept = np.where(counts & there[:, None], rows, np.nan)
        kept[~there, 0] = 0  # no percentile of nothing
        low, middle, high = np.nanquantile(kept, [0.1, 0.5, 0.9], axis=1)
        none = np.where(there, 1.0, np.nan)
        self.values += [middle * none] if median else []
        self.values.append((high - low) * none)


def describe(spectra: FloatArray) -> FloatArray:
    """Describe segments of sound by 49 numbers.

    Args:
        spectra: Natural-log mel power, pitch and periodicity, shape (N, T, 66).

    Returns:
        Shape (N, 49), NaN where too little is voiced or loud.
    """
    bands, octaves, periodicity = (
        spectra[:, :, :BANDS], spectra[:, :, BANDS], spectra[:, :, BANDS + 1]
    )  # fmt: skip
    power = np.logaddexp.reduce(bands, 2)
    below = power.max(1, keepdims=True) - power
    is_loud = below < LOUD
    is_voiced = (periodicity > VOICED) & is_loud & (octaves != 0)
    numbers = _Numbers()
    numbers.add(octaves, is_voiced)
    numbers.add_range(octaves, is_voiced, median=True)
    steps = np.minimum(np.abs(np.diff(octaves, axis=1)), LARGEST_STEP)
    numbers.add(steps, is_voiced[:, 1:] & is_voiced[:, :-1], spread=False)
    numbers.values.append(is_voiced.sum(1) / np.maximum(is_loud.sum(1), 1))
    numbers.add(periodicity, is_voiced)
    numbers.add(-below, is_loud)
    numbers.add_range(-below, is_loud, median=False)
    numbers.add(np.abs(np.diff(power, axis=1)), is_loud[:, 1:])
    envelope = np.maximum(-below, -LOUD)
    envelope = (envelope - envelope.mean(1, keepdims=True)) * np.hanning(envelope.shape[1])
    energy = np.abs(np.fft.rfft(envelope, axis=1)) ** 2
    hertz = np.fft.rfftfreq(envelope.shape[1], 1 / ROWS_PER_S)
    whole = energy[:, (hertz > MODULATION_HZ[0][0]) & (hertz < 20)].sum(1) + 1e-3
    for low, high in MODULATION_HZ:
        share = energy[:, (hertz >= low) & (hertz < high)].sum(1) / whole
        numbers.values.append(np.log(share + 1e-3))
    shape = (*bands.shape[:2], GROUPS, BANDS // GROUPS)
    groups = (bands - power[:, :, None]).reshape(shape).mean(3)
    for k in range(GROUPS):
        numbers.add(groups[:, :, k], is_voiced)
    return np.stack(numbers.values, 1).astype(np.float32)


class Segments:
    """The labeled segments of a store, cut out once.

    Args:
        store: Of ``logmel64_pitch``.
        left_out: Corpora that nobody learns from.
    """

    def __init__(self, store: FeatureStore, left_out: Sequence[str]) -> None:
        samples = LogmelSamples(store, TASKS, SPAN_S)
        parts = np.array_split(np.arange(len(samples.rows)), 40)
        cut = [samples.inputs(part)["logmel"].astype(np.float16) for part in parts]
        self.spectra = np.concatenate(cut)
        self.rows: Rows = balanced(samples.rows, [EXPRESSION.key], by_corpus=True)
        is_out = samples.rows.corpus.isin(left_out)
        self.training: IntArray = np.flatnonzero((samples.rows.split != Split.TEST) & ~is_out)
        self.asked = by_corpus.list_recordings(store, samples, set(left_out))

    def inputs(self, rows: IntArray) -> InputArrays:
        """Log power (N, T, 64) of rows by number, as the scores ask for it."""
        return {"logmel": self.spectra[rows][:, :, :BANDS].astype(np.float32)}

    def batch(self, rng: np.random.Generator) -> tuple[IntArray, Tensor]:
        """Row numbers (64,) of people to learn from, and their spectra varied."""
        rows: IntArray = rng.choice(self.training, BATCH)
        return rows, vary_logmel(torch.from_numpy(self.inputs(rows)["logmel"]), rng)

    def scores(self, net: nn.Module) -> dict[str, float]:
        """Mean recall or correlation by corpus, and the mean of those with expressions."""
        found, expressions = {}, []
        for corpus, asked in self.asked.items():
            shares, arousal = by_corpus.answer(net, self, asked)  # type: ignore[arg-type]
            every: IntArray = np.arange(len(asked.person))
            found[corpus] = by_corpus.score(asked, every, shares.argmax(1), arousal)
            expressions += [found[corpus]] if (asked.expression >= 0).any() else []
        return {name: round(value, 3) for name, value in found.items()} | {
            "mean": round(float(np.mean(expressions)), 3)
        }


class Descent:
    """AdamW over the parameters of modules, with a warmup and a falling rate.

    Args:
        modules: What is trained.
        steps: How many updates follow.
        rate: The largest rate.
    """

    def __init__(self, modules: Sequence[nn.Module], steps: int, rate: float) -> None:
        every = [each for module in modules for each in module.parameters()]
        groups = [
            {"params": [each for each in every if each.ndim > 1], "weight_decay": DECAY},
            {"params": [each for each in every if each.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer, self._every = torch.optim.AdamW(groups, lr=0.0), every
        self._steps, self._rate, self._done = steps, rate, 0

    def step(self, loss: Tensor) -> None:
        """Follow a loss by one update."""
        falling = 0.5 + 0.5 * math.cos(math.pi * self._done / self._steps)
        self._done += 1
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * min(1, self._done / 50) * falling
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._every, 5.0)
        self._optimizer.step()


def encode(net: LightVoice, spectra: Tensor) -> Tensor:
    """Features of spectra, computed in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        return net.encode(spectra).float()


def learn_to_describe(net: LightVoice, segments: Segments, steps: int) -> None:
    """Let a network say what can be computed of the clean segment from the varied one."""
    parts = np.array_split(np.arange(len(segments.spectra)), 40)
    numbers = np.concatenate([describe(segments.spectra[p].astype(np.float32)) for p in parts])
    known = numbers[segments.training]
    numbers = (numbers - np.nanmean(known, 0)) / (np.nanstd(known, 0) + 1e-6)
    targets = torch.from_numpy(numbers.clip(-4, 4).astype(np.float32))
    head, rng = nn.Linear(128, numbers.shape[1]), np.random.default_rng(1)
    descent, losses = Descent((net, head), steps, DESCRIBING_RATE), []
    net.train()
    for step in range(steps):
        rows, varied = segments.batch(rng)
        own = targets[torch.from_numpy(rows)]
        valid = ~own.isnan()
        loss = F.smooth_l1_loss(head(encode(net, varied))[valid], own[valid])
        descent.step(loss)
        losses.append(float(loss.detach()))
        if step % 200 == 199:
            print(f"describing, batch {step + 1}: loss {np.mean(losses[-200:]):.3f}", flush=True)


def learn_expressions(net: LightVoice, segments: Segments, steps: int) -> nn.Module:
    """Let a network learn expressions and arousal; returns the average of its weights."""
    rng, descent = np.random.default_rng(0), Descent((net,), steps, RATE)
    average = ExponentialMovingAverage(net, copy.deepcopy(net), AVERAGE)
    net.train()
    for step in range(steps):
        rows, varied = segments.batch(rng)
        spoiled, left = spoil(varied, rng, share=SPOILED)
        labels = {key: take(each, rows) for key, each in segments.rows.targets.items()}
        labels = fade_labels(labels, left)
        if rng.random() < MIXED:
            spoiled, labels = mix_rows(spoiled, labels, rng, splice)
        features = net.dropout(encode(net, spoiled))
        classes, va = labels[EXPRESSION.key], labels[VALENCE_AROUSAL.key]
        odds = F.log_softmax(net.heads[EXPRESSION.key](features), 1)
        has = classes.valid.all(1)
        each = -(odds * torch.from_numpy(classes.values)).sum(1)
        weight = torch.from_numpy((has * classes.weight).astype(np.float32))
        loss = (each * weight).sum() / max(1, int(has.sum()))
        weight = torch.from_numpy((va.valid * va.weight[:, None]).astype(np.float32))
        said = torch.tanh(net.heads[VALENCE_AROUSAL.key](features))
        off = (said - torch.from_numpy(va.values)).square() * weight
        loss = loss + AROUSAL_WEIGHT * off.nansum() / weight.sum().clamp(min=1)
        descent.step(loss)
        average.update(net)
        if step % 1100 == 1099 and step + 1 < steps:
            print(f"batch {step + 1}: {json.dumps(segments.scores(average.net))}", flush=True)
    return average.net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("--describe", type=int, default=0, metavar="BATCHES")
    parser.add_argument("--batches", type=int, default=1200)
    parser.add_argument("--leave-out", action="append", default=[], metavar="CORPUS")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    segments = Segments(FeatureStore.open(arguments.store), arguments.leave_out)
    net = LightVoice(TASKS, WIDTHS, 128, 0.4, 3)
    if arguments.describe:
        learn_to_describe(net, segments, arguments.describe)
    average = learn_expressions(net, segments, arguments.batches)
    print(f"at the end: {json.dumps(segments.scores(average))}")


if __name__ == "__main__":
    try:
        main()
    except (TriaffectError, OSError) as error:
        raise SystemExit(str(error)) from error
