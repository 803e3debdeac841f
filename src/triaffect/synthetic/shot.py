"""One camera setting: people, light, room and camera; draws frames and aligned faces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triaffect.synthetic.actor import Actor
from triaffect.synthetic.curves import Array
from triaffect.synthetic.noise import happens
from triaffect.synthetic.people import RenderedPerson
from triaffect.synthetic.props import glasses_color, hide, hold_microphone, wear_glasses
from triaffect.synthetic.scene import Camera, Torso, draw_background, draw_light
from triaffect.synthetic.splat import Canvas
from triaffect.synthetic.view import View

WIDTH, HEIGHT = 320, 240


@dataclass(frozen=True)
class Instant:
    """What one person shows in one frame.

    Attributes:
        actions: Strength of every facial action that is not 0.
        gaze: Where the irises lie, mm to the viewer's right and up.
        view: How the head stands; `x`, `y` and `scale` are those of the seat plus sway.
        hidden: 0 with the face in the open, up to 1 behind a sheet of paper.
    """

    actions: dict[int, float]
    gaze: tuple[float, float]
    view: View
    hidden: float = 0.0


class Shot:
    """A room with one or two people in it."""

    def __init__(
        self,
        people: list[RenderedPerson],
        random: np.random.Generator,
        width: int = WIDTH,
        height: int = HEIGHT,
    ) -> None:
        self.width, self.height = width, height
        self.light = draw_light(random)
        self.background = draw_background(random, width, height).astype(np.float32)
        self.camera = Camera.draw(random)
        self.seats = _seats(len(people), width, height, random)
        self.actors = [Actor(person, random) for person in people]
        self.torsos = [
            Torso(person.clothes, self.light, seat.scale, random)
            for person, seat in zip(people, self.seats, strict=True)
        ]
        self.glasses = [glasses_color(random) for _ in people]
        self.microphone = len(people) == 1 and happens(random, 0.12)

    def frame(
        self, instants: list[Instant], random: np.random.Generator
    ) -> tuple[NDArray[np.uint8], list[Array]]:
        """A frame (height, width, 3) and everyone's five landmarks in it, pixels, (5, 2)."""
        picture = self.background.copy()
        for torso, instant, seat in zip(self.torsos, instants, self.seats, strict=True):
            view = instant.view
            torso.draw(picture, (view.x + seat.x) / 2, (view.y + seat.y) / 2)
        canvas = Canvas(self.width, self.height)
        marks = [self._put_head(canvas, number, instant) for number, instant in enumerate(instants)]
        picture = canvas.over(picture)
        for instant in instants:
            view = instant.view
            if instant.hidden:
                hide(picture, view.x, view.y, view.scale, instant.hidden)
            if self.microphone:
                hold_microphone(
                    picture, view.x - 50 * view.scale, view.y + 118 * view.scale, view.scale
                )
        return self.camera.take(picture, random), marks

    def _put_head(self, canvas: Canvas, number: int, instant: Instant) -> Array:
        actor = self.actors[number]
        surface = actor.surface(instant.actions, instant.gaze)
        for layer in actor.layers(surface, instant.view, self.light):
            canvas.put(layer)
        if actor.person.glasses:
            wear_glasses(canvas, instant.view, actor.person.shape, self.glasses[number])
        return actor.landmarks(surface, instant.view)


def _seats(count: int, width: int, height: int, random: np.random.Generator) -> list[View]:
    """Where people sit, from the left."""
    unit = height / HEIGHT
    scale = float(random.uniform(0.56, 0.72) if count == 1 else random.uniform(0.44, 0.5)) * unit
    seat = View(0, 0, 0, 0, height * 0.5 + unit * float(random.normal(0, 6)), scale)
    offsets = [0.0] if count == 1 else np.linspace(-76, 76, count).tolist()
    return [
        replace(seat, x=width / 2 + unit * (offset + float(random.normal(0, 5))))
        for offset in offsets
    ]
