"""People who do not exist: traits drawn at random, in plausible combinations."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np

from triaffect.synthetic.curves import Color
from triaffect.synthetic.head import Shape
from triaffect.synthetic.noise import happens


class HairStyle(StrEnum):
    """How the hair is worn."""

    SHORT = "short"
    LONG = "long"
    TIED = "tied"
    BALD = "bald"


@dataclass(frozen=True)
class RenderedPerson:
    """Everything about a person that a video does not change.

    Colors are linear RGB in [0, 1]; shares are in [0, 1].

    Attributes:
        shape: The head's shape.
        age: Years.
        skin: Mean reflectance.
        ruddiness: How red cheeks, nose and ears are, a share.
        freckles: Strength of freckles and blotches, a share.
        shine: Strength of the skin's highlight, a share.
        lips: Color of the lips.
        iris: Color of the iris.
        hair: Color of the hair.
        hair_style: How it is worn.
        hairline: Height of the hairline in the middle, mm.
        recession: How far the hair has gone back at the temples, mm.
        brow_thickness: Height of the eyebrows, mm.
        brow_density: Darkness of the eyebrows, a share.
        brow_arch: Rise of the eyebrows' outer third, mm.
        lashes: Darkness of the lashes, a share.
        lid_crease: Height of the crease above the upper lid, mm, and its strength.
        beard: Density of the beard, a share.
        moustache: Density of the moustache, a share.
        glasses: Whether glasses are worn.
        clothes: Color of the clothes.
        pitch_hz: Mean pitch of the voice.
        tract: Length of the vocal tract against the average.
    """

    shape: Shape
    age: float
    skin: Color
    ruddiness: float
    freckles: float
    shine: float
    lips: Color
    iris: Color
    hair: Color
    hair_style: HairStyle
    hairline: float
    recession: float
    brow_thickness: float
    brow_density: float
    brow_arch: float
    lashes: float
    lid_crease: tuple[float, float]
    beard: float
    moustache: float
    glasses: bool
    clothes: Color
    pitch_hz: float
    tract: float


_SKIN = np.array(
    [[238, 203, 180], [226, 184, 154], [205, 156, 120], [170, 118, 84], [124, 82, 58], [88, 58, 43]]
)
"""Skin from lightest to darkest, display RGB."""
_HAIR = np.array(
    [[22, 18, 17], [45, 30, 22], [82, 54, 34], [120, 66, 36], [160, 134, 98], [168, 164, 160]]
)
"""Black, dark brown, brown, auburn, blond, gray."""
_IRIS = np.array([[50, 28, 16], [84, 52, 26], [98, 88, 48], [84, 112, 128], [86, 116, 84]])
"""Dark brown, brown, hazel, blue, green."""
_SPREADS = Shape(
    head_width=2.6,
    jaw_width=2.2,
    chin_length=2.6,
    chin_depth=1.6,
    cheek_fullness=2.0,
    cheekbone=1.2,
    brow_ridge=0.8,
    forehead_slope=2.5,
    eye_spacing=1.3,
    eye_size=0.07,
    eye_tilt=0.8,
    eye_depth=1.2,
    nose_length=2.6,
    nose_width=1.5,
    nose_bridge=1.6,
    nose_tip=1.7,
    mouth_width=2.0,
    mouth_height=1.3,
    lip_upper=1.3,
    lip_lower=1.4,
    lip_protrusion=1.2,
    brow_height=1.3,
    ear_size=0.08,
)
"""Standard deviations of the shape."""
_MASCULINE = Shape(
    head_width=1.2,
    jaw_width=2.8,
    chin_length=2.0,
    chin_depth=1.0,
    cheek_fullness=-1.0,
    brow_ridge=1.8,
    forehead_slope=2.5,
    eye_size=-0.04,
    nose_length=1.5,
    nose_width=0.9,
    nose_bridge=1.0,
    nose_tip=0.8,
    mouth_width=1.0,
    lip_upper=-0.9,
    lip_lower=-0.8,
    brow_height=-1.6,
    ear_size=0.05,
)
"""Shift of the shape from a person of no marked sex to a man; a woman's is its negative."""


def linear(display: np.ndarray) -> Color:
    """Linear RGB of display RGB in 0-255; the renderer's display curve is a square root."""
    value = (np.asarray(display, np.float64) / 255) ** 2
    return float(value[0]), float(value[1]), float(value[2])


def make_person(random: np.random.Generator) -> RenderedPerson:
    """Draw a person."""
    man = happens(random, 0.5)
    age = float(np.clip(random.normal(38, 14), 18, 78))
    melanin = float(random.beta(1.1, 1.8))
    shape = _draw_shape(random, 0.8 if man else -0.8, melanin)
    skin = _between(_SKIN, melanin) + random.normal(0, 3, 3)
    gray = age > random.normal(58, 7)
    hair = _HAIR[5] if gray else _HAIR[_pick_light(random, melanin, 5)]
    style = _pick_style(random, man, age)
    beard = float(random.choice([0.0, 0.25, 0.6, 0.95], p=[0.45, 0.25, 0.15, 0.15])) if man else 0.0
    return RenderedPerson(
        shape=shape,
        age=age,
        skin=linear(skin),
        ruddiness=float(random.uniform(0.2, 1.0)),
        freckles=float(random.beta(1, 4)),
        shine=float(random.uniform(0.3, 1.0)),
        lips=_lip_color(random, skin, made_up=not man and happens(random, 0.45)),
        iris=linear(_IRIS[_pick_light(random, melanin, 5)] * random.uniform(0.8, 1.25)),
        hair=linear(hair * random.uniform(0.75, 1.15)),
        hair_style=style,
        hairline=float(random.normal(65, 6)),
        recession=float(abs(random.normal(0, 2 + 0.25 * age if man else 2))),
        brow_thickness=float(random.normal(7.5 if man else 5.5, 1.2)),
        brow_density=float(random.uniform(0.55, 0.95)),
        brow_arch=float(random.normal(1.5 if man else 3.0, 1.2)),
        lashes=float(random.uniform(0.1, 0.4) if man else random.uniform(0.3, 1.0)),
        lid_crease=(
            float(random.uniform(2.4, 4.6)),
            float(random.choice([0.15, 1.0], p=[0.2, 0.8])),
        ),
        beard=beard,
        moustache=beard if happens(random, 0.8) else 0.0,
        glasses=happens(random, 0.16),
        clothes=linear(np.clip(random.uniform(25, 200) + random.normal(0, 22, 3), 8, 235)),
        pitch_hz=float(random.normal(118 if man else 205, 16 if man else 22)),
        tract=float(random.normal(1.06 if man else 0.93, 0.03)),
    )


def _draw_shape(random: np.random.Generator, sex: float, melanin: float) -> Shape:
    values = {}
    for field in fields(Shape):
        spread, shift = getattr(_SPREADS, field.name), getattr(_MASCULINE, field.name)
        values[field.name] = float(np.clip(random.normal(), -2.2, 2.2)) * spread + sex * shift
    values["nose_width"] += 3.0 * max(0.0, melanin - 0.4)
    values["nose_bridge"] -= 4.0 * max(0.0, melanin - 0.4)
    values["lip_upper"] += 4.0 * max(0.0, melanin - 0.4)
    values["lip_lower"] += 3.0 * max(0.0, melanin - 0.4)
    return Shape(**values)


def _between(table: np.ndarray, position: float) -> np.ndarray:
    at = position * (len(table) - 1)
    return np.array([np.interp(at, np.arange(len(table)), column) for column in table.T])


def _pick_light(random: np.random.Generator, melanin: float, count: int) -> int:
    """An index into colors ordered dark to light: dark skin rarely goes with light ones."""
    reach = np.exp(-np.arange(count) * (0.1 + 5.0 * max(0.0, melanin - 0.25)))
    return int(random.choice(count, p=reach / reach.sum()))


def _pick_style(random: np.random.Generator, man: bool, age: float) -> HairStyle:
    if man:
        bald = float(np.interp(age, [30, 60], [0.05, 0.4]))
        return HairStyle.BALD if happens(random, bald) else HairStyle.SHORT
    shares = [0.25, 0.5, 0.25]
    return HairStyle(random.choice([HairStyle.SHORT, HairStyle.LONG, HairStyle.TIED], p=shares))


def _lip_color(random: np.random.Generator, skin: np.ndarray, *, made_up: bool) -> Color:
    natural = skin * np.array([0.86, 0.66, 0.66]) + np.array([6, 2, 6])
    if not made_up:
        return linear(np.clip(natural + random.normal(0, 4, 3), 0, 255))
    painted = np.array([random.uniform(140, 190), random.uniform(35, 75), random.uniform(55, 85)])
    return linear(0.45 * natural + 0.55 * painted)
