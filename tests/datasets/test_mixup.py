"""Mixed crops and labels: who is mixed with whom, in which proportion, and what it costs."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.datasets.augmentation.mixup import (
    fade_labels,
    mix_rows,
    partners,
    paste,
    splice,
)
from triaffect.tasks.losses import Reading, categorical
from triaffect.types import Targets

SIDE = 16
mix_crops, mix_spectra = (partial(mix_rows, join=join) for join in (paste, splice))


def made(seed, rows=12, flat=True):
    """Crops of one level each, so that a pixel tells whose it is, and labels of two tasks."""
    rng = np.random.default_rng(seed)
    levels = torch.arange(rows, dtype=torch.float32)[:, None, None].expand(rows, SIDE, SIDE)
    crops = levels.clone() if flat else torch.from_numpy(rng.random((rows, SIDE, SIDE)))
    has = rng.random((rows, 2)) < 0.7
    units = np.repeat(has[:, 1:], 3, axis=1) & (rng.random((rows, 3)) < 0.8)
    faces = Targets(
        rng.dirichlet(np.ones(4), rows).astype(np.float32),
        np.repeat(has[:, :1], 4, axis=1),
        rng.uniform(0, 2, rows).astype(np.float32),
    )
    return crops, {
        "faces": faces,
        "units": Targets(
            (rng.random((rows, 3)) < 0.5).astype(np.float32), units, np.ones(rows, np.float32)
        ),
    }


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_partners_have_labels_of_the_same_tasks(seed):
    _, targets = made(seed)
    partner = partners(targets, np.random.default_rng(seed))
    assert sorted(partner) == list(range(len(partner)))
    for each in targets.values():
        labeled = each.valid.any(1)
        np.testing.assert_array_equal(labeled, labeled[partner])


@pytest.mark.parametrize("mix", [mix_crops, mix_spectra])
@given(seed=st.integers(0, 10_000))
@settings(deadline=None)
def test_labels_are_mixed_as_the_pixels_are(mix, seed):
    crops, targets = made(seed)
    partner = partners(targets, np.random.default_rng(seed))
    mixed, labels = mix(crops, targets, np.random.default_rng(seed))
    there = mixed.mean((1, 2)).numpy()
    apart = partner != np.arange(len(partner))
    own = np.arange(len(partner))
    share = ((there - partner) / np.where(apart, own - partner, 1))[apart]
    assert not len(share) or np.ptp(share) < 1e-4
    for key, before in targets.items():
        after = labels[key]
        np.testing.assert_array_equal(after.valid, before.valid & before.valid[partner])
        if len(share):
            weight = share[0] * before.weight + (1 - share[0]) * before.weight[partner]
            np.testing.assert_allclose(after.weight, weight, atol=1e-4)
        untouched = ~apart[:, None] | ~before.valid
        np.testing.assert_allclose(
            np.where(untouched, after.values, 0), np.where(untouched, before.values, 0), atol=1e-6
        )
        assert after.values.dtype == after.weight.dtype == np.float32


def test_the_loss_is_the_mixture_of_the_losses():
    _, targets = made(3)
    crops, _ = made(3)
    partner = partners(targets, np.random.default_rng(3))
    mixed, labels = mix_crops(crops, targets, np.random.default_rng(3))
    other = int(np.flatnonzero(partner != np.arange(len(partner)))[0])
    share = (float(mixed[other].mean()) - partner[other]) / (other - partner[other])
    logits = torch.randn(len(crops), 4, generator=torch.Generator().manual_seed(0))
    before, after = targets["faces"], labels["faces"]

    def cost(values, weight):
        each = categorical(logits, torch.from_numpy(values), Reading.CONVENTIONAL)
        return torch.from_numpy(weight) * each

    wanted = share * cost(before.values, before.weight)
    wanted += (1 - share) * cost(before.values[partner], before.weight[partner])
    got, has = cost(after.values, after.weight), before.valid.all(1)
    torch.testing.assert_close(got[has], wanted[has], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mix", [mix_crops, mix_spectra])
@pytest.mark.parametrize("blended", [True, False])
def test_both_ways_of_mixing_come_about(mix, blended):
    crops, targets = made(1)
    partner_rows = np.arange(len(crops))
    found = False
    for seed in range(20):
        mixed, _ = mix(crops, targets, np.random.default_rng(seed))
        whole = np.isin(mixed.numpy(), partner_rows).all()
        uniform = (mixed == mixed[:, :1, :1]).all()
        found |= bool(uniform and not whole) if blended else bool(whole and not uniform)
    assert found


def test_it_follows_from_the_generator():
    crops, targets = made(2, flat=False)
    one, same, other = (mix_crops(crops, targets, np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_spectra_get_whole_moments_of_each_other():
    """A stretch of time, of all bands: a part of the bands would be nobody's voice."""
    spectra, targets = made(4)
    found = 0
    for seed in range(20):
        mixed, _ = mix_spectra(spectra, targets, np.random.default_rng(seed))
        assert (mixed == mixed[:, :, :1]).all()
        changes = (mixed[:, 1:, 0] != mixed[:, :-1, 0]).sum(1)
        assert changes.max() <= 2, "one stretch of the other"
        found += int(changes.max() > 0)
    assert found > 3


def test_labels_fade_to_their_mean_where_nothing_is_left():
    _, targets = made(0)
    rows = len(targets["faces"])
    faded = fade_labels(targets, np.array([1.0, *[0.0] * (rows - 1)], np.float32))
    for key, each in targets.items():
        known = each.valid.all(1)
        np.testing.assert_array_equal(faded[key].valid, each.valid)
        np.testing.assert_array_equal(faded[key].weight, each.weight)
        np.testing.assert_array_equal(faded[key].values[0], each.values[0])
        mean = np.where(each.valid, each.values, 0).sum(0) / each.valid.sum(0)
        np.testing.assert_allclose(
            faded[key].values[1:][known[1:]], mean[None].repeat(known[1:].sum(), 0), rtol=1e-5
        )
    whole = faded["faces"].valid.all(1)
    np.testing.assert_allclose(faded["faces"].values[whole].sum(1), 1, rtol=1e-5)
