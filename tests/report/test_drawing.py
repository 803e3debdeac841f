"""What is drawn on a frame: in it, readable, and not over another face."""

import numpy as np
import pytest

from triaffect.report.drawing import Drawn, WordPositions, draw
from triaffect.report.drawing.lettering import font, write_line
from triaffect.tasks.expression import Expression
from triaffect.tasks.registry import TASKS

UNITS = ("AU6 cheek raiser", "AU12 lip corner puller")


def face(box, number=0, right=0.5, up=0.5, units=UNITS):
    return Drawn(box, number, "happiness 87%", (right, up), ("V", "A"), units)


def drawn(size, *faces):
    rgb = np.full((*size, 3), 128, np.uint8)
    draw(rgb, list(faces))
    return rgb


def changed(rgb):
    return (rgb != 128).any(axis=2)


def test_a_row_is_read_with_its_thresholds_and_names():
    row = {"face_id": 3, "box_x": 1.0, "box_y": 2.0, "box_w": 3.0, "box_h": 4.0, "AU1": 0.45}
    row |= dict.fromkeys(Expression().columns, 0.05) | {"p_fear": 0.625}
    row |= {"valence": -0.5, "arousal": None, "AU2": 0.45}
    one = Drawn.of_row(row, TASKS, {"AU1": 0.4})
    assert (one.box, one.face_id, one.tag) == ((1.0, 2.0, 3.0, 4.0), 3, "fear 62%")
    assert one.units == ("AU1 inner brow raiser",)
    assert one.axes == ("V", "A")
    assert one.point[0] == -0.5
    assert not one.placed
    voice = Drawn.of_row({"face_id": None, "p_fear": None, "box_x": None}, TASKS, {})
    assert (voice.box, voice.face_id, voice.tag, voice.units) == (None, None, "", ())


@pytest.mark.parametrize("scale", [1, 6])
def test_everything_is_as_large_a_share_of_the_frame_in_4k(scale):
    box = tuple(scale * v for v in (250, 60, 150, 200))
    share = changed(drawn((360 * scale, 640 * scale), face(box))).mean()
    assert share == pytest.approx(0.062, abs=0.012)


def test_the_dot_lies_where_valence_and_arousal_say():
    box = (100, 60, 150, 200)
    states = [(0.8, 0.0), (-0.8, 0.0), (0.0, 0.8), (0.0, -0.8)]
    found = []
    for right, up in states:
        rgb = drawn((360, 640), face(box, 0, right, up, ()))
        colour = (rgb == rgb[60, 150]).all(axis=2)  # that of the box
        colour[:, :253] = False
        found.append(np.argwhere(colour).mean(axis=0))
    east, west, north, south = found
    assert east[1] > west[1] + 30
    assert north[0] < south[0] - 30
    assert east[0] == pytest.approx(west[0], abs=1)


def test_a_panel_covers_hardly_anything_of_a_face():
    boxes = [(60, 60, 150, 200), (240, 60, 150, 200), (420, 60, 150, 200)]
    rgb = drawn((360, 640), *(face(box, number) for number, box in enumerate(boxes)))
    for x, y, w, h in boxes:
        inside = changed(rgb)[y + 4 : y + h - 3, x + 4 : x + w - 3]
        assert inside.mean() < 0.05


@pytest.mark.parametrize(
    "box", [(-50, -40, 120, 160), (600, 300, 120, 160), (-10, -10, 700, 400), (700, 400, 50, 50)]
)
def test_faces_at_the_border_are_drawn_in_the_frame(box):
    assert changed(drawn((360, 640), face(box))).any()


@pytest.mark.parametrize("size", [(9, 17), (32, 32), (480, 96), (96, 480)])
def test_frames_of_any_size_can_be_drawn_on(size):
    assert changed(drawn(size, face((2, 2, size[1] / 2, size[0] / 2)))).any()


def test_a_crowd_keeps_its_numbers():
    boxes = [(70 * k + 20, 60 * j + 15, 24, 32) for j in range(6) for k in range(9)]
    rgb = drawn((360, 640), *(face(box, number) for number, box in enumerate(boxes)))
    free = [changed(rgb)[y + 3 : y + h - 2, x + 3 : x + w - 2].mean() for x, y, w, h in boxes]
    assert np.mean(free) < 0.1


def test_a_voice_without_a_face_is_told_in_the_corner_and_nothing_of_nobody():
    rgb = drawn((360, 640), Drawn(None, None, "sadness 41%", (-0.3, -0.2), ("V", "A"), ()))
    assert changed(rgb)[:80, :200].any()
    assert not changed(rgb)[120:].any()
    assert not changed(
        drawn((360, 640), Drawn(None, None, "", (np.nan, np.nan), ("V", "A"), ()))
    ).any()


@pytest.mark.parametrize("box", [(90, 110, 160, 192), (130, 110, 160, 192), (90, 170, 160, 192)])
def test_a_panel_does_not_cover_the_label_of_its_own_face(box):
    left, top, width, height = box
    without = drawn((360, 360), face(box, 0, np.nan, np.nan, ()))
    label = (without == without[top + height // 2, left]).all(axis=2)  # the colour of the box
    label[label.sum(axis=1) <= 20] = False
    label[:, : left + 4] = label[:, left + width - 4 :] = False
    assert label.any()
    covered = drawn((360, 360), face(box))[label] != without[label]
    assert covered.any(axis=1).mean() < 0.3


def test_what_is_written_stays_while_a_face_jitters_and_follows_when_it_moves():
    """The tag is where the color of the box fills more than its outline."""

    def top_of_tag(box, positions, time_s):
        rgb = np.full((360, 640, 3), 128, np.uint8)
        draw(rgb, [face(box, units=())], time_s, positions)
        x, y = round(box[0]) + 2, round(box[1] + box[3] / 2)
        color = (rgb == rgb[y, round(box[0])]).all(axis=2)
        return int(np.flatnonzero(color[:, x : x + 8].all(axis=1))[0])

    positions = WordPositions()
    first = top_of_tag((200, 100, 120, 160), positions, 0.0)
    jitter = [top_of_tag((200, 100 + k % 4, 120, 160), positions, k / 25) for k in range(1, 20)]
    assert set(jitter) == {first}
    moved = [top_of_tag((200, 130, 120, 160), positions, 1 + k / 25) for k in range(30)]
    assert moved == sorted(moved)
    assert abs(moved[-1] - first - 30) <= 2
    assert top_of_tag((200, 250, 120, 160), positions, 3.0) - first > 100  # somewhere else


def test_a_panel_keeps_its_side_and_room_when_a_unit_goes():
    positions, tops = WordPositions(), []
    for k, units in enumerate((UNITS, UNITS[1:], UNITS)):
        rgb = np.full((360, 640, 3), 128, np.uint8)
        draw(rgb, [face((250, 60, 150, 200), units=units)], k / 25, positions)
        marks = changed(rgb)[:, 405:]
        tops.append((int(np.argmax(marks.any(axis=1))), int(np.argmax(marks.any(axis=0)))))
    assert len(set(tops)) == 1


def test_a_class_is_written_calmly():
    positions, words = WordPositions(), []
    for k in range(100):
        happy = 0.5 + 0.04 * (-1) ** k if k < 50 else 0.9
        scores = [{"neutral": 1 - happy, "happiness": happy}]
        words.append(positions.steady_words(0, scores, k / 25))
    assert {text.split()[0] for text in words[:50]} == {words[0].split()[0]}
    assert len(set(words[:50])) <= 5  # once in half a second
    assert words[-1] == "happiness 90%"


def test_a_name_stands_in_place_of_the_number_and_the_time_in_the_corner():
    row = {"face_id": 3, "box_x": 1.0, "box_y": 2.0, "box_w": 3.0, "box_h": 4.0}
    assert Drawn.of_row(row, TASKS, {}).who == "#3"
    assert Drawn.of_row(row | {"participant": "Ann"}, TASKS, {}).who == "Ann"
    rgb = np.full((360, 640, 3), 128, np.uint8)
    draw(rgb, [], 61.26, WordPositions())
    assert changed(rgb)[340:, :60].any()
    assert not changed(rgb)[:330].any()
    other = np.full((360, 640, 3), 128, np.uint8)
    draw(other, [], 61.36, WordPositions())
    assert (rgb != other).any()


def test_letters_of_many_languages_are_written_and_others_are_boxes():
    assert {*"Björn Łukasz Žižek Ελένη Ольга"} <= font().letters.keys()
    lines = []
    for text in ("B\u00f6", "Bo", "B\u732b", "B\u25a1"):
        lines.append(np.zeros((40, 80, 3), np.uint8))
        write_line(lines[-1], text, (4, 4), 30, (255, 255, 255))
    assert (lines[0] != lines[1]).any()
    assert np.array_equal(lines[2], lines[3])
    edge = np.zeros((20, 20, 3), np.uint8)
    write_line(edge, "wide words", (-5, -5), 30, (255, 255, 255))
    assert edge.any()
