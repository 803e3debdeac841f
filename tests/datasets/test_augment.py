"""Varied crops: each defect by what it must do to pixels, all of them together by their range."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triaffect.datasets.augmentation import crops as camera
from triaffect.datasets.augmentation import crops as cover
from triaffect.datasets.augmentation.augment import vary_crops
from triaffect.faces.alignment import TEMPLATE, TEMPLATE_SIZE

ROWS, SIDE = 400, 64


def rng(seed=0):
    return np.random.default_rng(seed)


def faces(seed=0, rows=ROWS):
    """Smooth random pictures: levels change slowly, as in faces."""
    coarse = rng(seed).integers(0, 256, (rows, 8, 8)).astype(np.float32)
    return torch.from_numpy(np.stack([cv2.resize(each, (SIDE, SIDE)) for each in coarse]))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_what_comes_out_is_a_picture(seed):
    levels = [0, 255, 7] if seed % 2 else [255, 0, 128]
    flat = torch.tensor(levels, dtype=torch.uint8)[:, None, None].expand(3, SIDE, SIDE)
    crops = torch.cat([flat, faces(seed, 5).to(torch.uint8)])
    varied = vary_crops(crops, rng(seed))
    assert varied.dtype == torch.float32
    assert varied.shape == crops.shape
    assert torch.isfinite(varied).all()
    assert varied.min() >= 0
    assert varied.max() <= 255


def test_variants_follow_from_the_generator():
    crops = faces(rows=40).to(torch.uint8)
    before = crops.clone()
    one, same, other = (vary_crops(crops, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(crops, before)


@pytest.mark.parametrize("change", [cover.cover, camera.light, camera.blur, camera.compress])
def test_a_step_leaves_what_it_was_given(change):
    crops = faces(rows=60)
    before = crops.clone()
    change(crops, rng())
    assert torch.equal(crops, before)


@pytest.mark.parametrize(
    ("change", "share"),
    [
        (cover.cover, cover.GLASSES + cover.MASK + cover.BAR),
        (camera.blur, camera.BLURRED + camera.MOVING),
        (camera.compress, camera.COMPRESSED),
    ],
)
def test_a_share_of_the_crops_is_changed(change, share):
    crops = faces()
    changed = (change(crops, rng()) - crops).abs().amax((1, 2)) > 0.5
    assert float(changed.float().mean()) == pytest.approx(share, abs=0.08)


def test_glasses_hide_eyes_and_masks_mouths():
    """At the places of the aligned crop where detection puts them."""
    left, right, nose, *mouth = (TEMPLATE * SIDE / TEMPLATE_SIZE).astype(int)

    def hidden(shape, point):
        return shape[:, point[1], point[0]].float().mean()

    glasses, mask = cover.glasses(ROWS, SIDE, rng()), cover.mask(ROWS, SIDE, rng())
    for eye in (left, right):
        assert hidden(glasses, eye) == 1
        assert hidden(mask, eye) == 0
    for corner in mouth:
        assert hidden(mask, corner) == 1
        assert hidden(glasses, corner) == 0
    assert hidden(glasses, nose) == 0
    assert 0.02 < cover.bar(ROWS, SIDE, rng()).float().mean() < 0.2


def test_light_goes_from_dark_to_blown_out():
    crops = torch.full((ROWS, SIDE, SIDE), 128.0)
    lit = camera.light(crops, rng()).mean((1, 2))
    assert (lit < 64).float().mean() == pytest.approx(camera.DARK, abs=0.06)
    assert (lit > 180).float().mean() == pytest.approx(camera.BLOWN_OUT, abs=0.08)
    uneven = camera.light(crops, rng()).std((1, 2)) > 1
    assert uneven.float().mean() == pytest.approx(camera.SIDE_LIGHT, abs=0.06)


def test_blur_is_the_gaussian_of_a_picture(monkeypatch):
    monkeypatch.setattr(camera, "BLURRED", 1.0)
    monkeypatch.setattr(camera, "MOVING", 0.0)
    monkeypatch.setattr(camera, "uniform", lambda _, n, low, high: torch.full((n,), 1.5))
    crops = faces(rows=3)
    for got, crop in zip(camera.blur(crops, rng()).numpy(), crops.numpy(), strict=True):
        wanted = cv2.GaussianBlur(crop, (19, 19), 1.5)
        np.testing.assert_allclose(got[10:-10, 10:-10], wanted[10:-10, 10:-10], atol=0.1)


@pytest.mark.parametrize("quality", [10, 30, 75])
def test_blocks_are_those_of_jpeg(monkeypatch, quality):
    monkeypatch.setattr(camera, "COMPRESSED", 1.0)
    monkeypatch.setattr(camera, "uniform", lambda _, n, *__: torch.full((n,), float(quality)))
    crops = faces(rows=20).round()

    class Still:
        """No shift of the blocks, all rows drawn."""

        random = staticmethod(np.zeros)
        integers = staticmethod(lambda *_: np.zeros(2, int))

    got = camera.compress(crops, Still()).numpy()
    for mine, crop in zip(got, crops.numpy(), strict=True):
        _, code = cv2.imencode(".jpg", crop.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        theirs = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE).astype(np.float32)
        cost = np.abs(theirs - crop).mean()
        assert np.abs(mine.clip(0, 255) - theirs).mean() < 0.1 * cost + 0.5
