"""The validator: right files pass, and no change of meaning does."""

import random

import pytest

from triaffect.errors import AnnotationError
from triaffect.evaluation.submission.check import HEADER, check_submission

IMAGES = [f"{video}/{n:05}.jpg" for video in ("1-30_left", "1-30_right", "зима") for n in (1, 2, 7)]
MUTANTS = 1000


def right_lines():
    rng = random.Random(4)
    lines = [HEADER]
    for image in IMAGES:
        valence, arousal = (rng.choice(["-1", "1.0", f"{rng.uniform(-1, 1):.6f}"]) for _ in "va")
        units = ",".join(rng.choice("01") for _ in range(12))
        lines.append(f"{image},{valence},{arousal},{rng.randrange(8)},{units}")
    return lines


RIGHT = ("\n".join(right_lines()) + "\n").encode()


def check(path, data):
    file = path / "submission.txt"
    file.write_bytes(data)
    check_submission(file, IMAGES)


def meaning(data):
    """Header, images and numbers of a file by the plainest reading; None if it has none."""
    try:
        header, *lines = data.decode("utf-8").removesuffix("\n").split("\n")
        fields = [line.split(",") for line in lines]
        if any(text.strip("0123456789.-") for line in fields for text in line[1:]):
            return None
        numbers = [[float(text) for text in line[1:]] for line in fields]
        whole = all(text in set("01234567") for line in fields for text in line[3:])
        return header, [line[0] for line in fields], numbers, whole
    except ValueError:
        return None


def is_right(data):
    """Whether a file says something allowed of every image, whatever the numbers are."""
    found = meaning(data)
    if found is None or found[0] != HEADER or found[1] != IMAGES or not found[3]:
        return False
    return all(
        len(row) == 15
        and all(-1 <= value <= 1 for value in row[:2])
        and row[2] in range(8)
        and all(unit in (0, 1) for unit in row[3:])
        for row in found[2]
    )


def other_value(rng):
    wrong = ["", " ", "nan", "inf", "-inf", "-5", "-5.0", "1.000001", "-1.01", "8", "2", "-1", "x"]
    return rng.choice([*wrong, "0.5", "1e999", "0x1", "1_0", "٣", "0 ", "7.0", "1,0", "+1", "'0'"])


def change_line(rng, lines):
    """One line, header included, gone, doubled, moved, in place of another, or made another."""
    at, to = rng.sample(range(len(lines)), 2)
    how = rng.choice(["drop", "double", "swap", "over", "foreign", "blank", "case"])
    if how == "drop":
        del lines[at]
    elif how == "double":
        lines.insert(to, lines[at])
    elif how == "swap":
        lines[at], lines[to] = lines[to], lines[at]
    elif how == "over":
        lines[at] = lines[to]
    elif how == "foreign":
        lines[at] = lines[at].replace("1", "4", 1).replace("im", "mi")
    elif how == "blank":
        lines.insert(at, rng.choice(["", " ", ",", HEADER]))
    else:
        lines[at] = lines[at].upper()


def change_value(rng, lines):
    """One value becomes another, or there is one more or less."""
    at = rng.randrange(len(lines))
    fields = lines[at].split(",")
    k = rng.randrange(len(fields))
    how = rng.choice(["set", "set", "set", "drop", "add", "empty"])
    if how == "drop":
        del fields[k]
    elif how == "add":
        fields.insert(k, "0")
    else:
        fields[k] = other_value(rng) if how == "set" else ""
    lines[at] = ",".join(fields)


def change_bytes(rng, data):
    """A byte, or a few, changed, lost or added anywhere."""
    at = rng.randrange(len(data))
    piece = rng.choice(
        [b"\r", b"\n", b"\n\n", b"\xff", b"\x00", b",", b" ", b"9", b"-", b"\xef\xbb\xbf"]
    )
    return data[:at] + piece + data[at + rng.choice([0, 1, 1, 2]) :]


def mutants():
    for seed in range(MUTANTS):
        rng = random.Random(seed)
        lines = RIGHT.decode().splitlines()
        kind = seed % 4
        if kind == 0:
            change_line(rng, lines)
        elif kind in (1, 2):
            change_value(rng, lines)
        data = ("\n".join(lines) + "\n").encode()
        yield seed, change_bytes(rng, data) if kind == 3 else data


def test_a_right_file_passes_with_and_without_a_last_line_break(tmp_path):
    check(tmp_path, RIGHT)
    check(tmp_path, RIGHT.removesuffix(b"\n"))


def refuses(path, data):
    try:
        check(path, data)
    except AnnotationError:
        return True
    return False


def test_every_mutant_that_is_no_right_file_is_refused(tmp_path):
    """A mutant that says another allowed number is right: nothing in a file tells them apart."""
    wrong = [(seed, data) for seed, data in mutants() if not is_right(data)]
    assert len(wrong) > 0.75 * MUTANTS
    assert [seed for seed, data in wrong if not refuses(tmp_path, data)] == []


def with_line(number, text):
    lines = right_lines()
    lines[number - 1 : number] = [] if text is None else [text]
    return ("\n".join(lines) + "\n").encode()


ROW = right_lines()[3].split(",")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ":1: expected the header image,valence,arousal,expression,aus, got ''"),
        (with_line(1, None), ":1: expected the header .*, got '1-30_left/00001.jpg"),
        (b"\xef\xbb\xbf" + RIGHT, ":1: expected the header"),
        (RIGHT.replace(b"\n", b"\r\n"), r":1: expected the header .*\\r'"),
        (with_line(4, None), ":9: expected every image of the list, got no line for 1-30"),
        (with_line(4, right_lines()[4]), ":5: expected every image once, got .*; 1 more mistake"),
        (RIGHT + b"\n", ":11: expected an image and its values, got a blank line"),
        (RIGHT + right_lines()[1].encode(), ":11: expected every image once, got 1-30_left/00001"),
        (with_line(4, "a/1.jpg,0,0,0" + ",0" * 12), ":4: expected an image of the list, got 'a/1"),
        (with_line(4, ",".join([*ROW, "0"])), ":4: expected an image and 15 values, got 16 values"),
        (with_line(4, ",".join([*ROW[:3], "-1", *ROW[4:]])), "expression: a class from 0 to 7"),
        (with_line(4, ",".join([*ROW[:2], "-5", *ROW[3:]])), "arousal: a number from -1 to 1"),
        (with_line(4, ",".join([*ROW[:2], "nan", *ROW[3:]])), "arousal: a number from -1 to 1"),
        (with_line(4, ",".join([*ROW[:-1], "-1"])), r"AU26: 0 \(absent\) or 1 \(present\)"),
        (with_line(4, ",".join(ROW) + "\r"), ":4: expected a line that ends in a line feed alone"),
        (RIGHT.replace(b"-", b"\xff", 1), ":2: expected UTF-8 text"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tmp_path, data, message):
    with pytest.raises(AnnotationError, match=message):
        check(tmp_path, data)


def test_lines_out_of_order_are_counted(tmp_path):
    header, *lines = right_lines()
    data = "\n".join([header, *reversed(lines)]).encode()
    wanted = ":2: expected 1-30_left/00001.jpg, as in the list's order, got зима/00007.jpg; 7 more"
    with pytest.raises(AnnotationError, match=wanted):
        check(tmp_path, data)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(AnnotationError, match="expected a file to read, got No such file"):
        check_submission(tmp_path / "none.txt", IMAGES)
