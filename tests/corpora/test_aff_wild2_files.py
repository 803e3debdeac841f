"""Annotation files: what is read, and how every mistake is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triaffect.corpora import aff_wild2_files as files
from triaffect.corpora.aff_wild2_files import (
    MULTI_TASK_FORMAT,
    SINGLE_TASK_FORMATS,
    read_frames,
    read_image_labels,
    read_test_list,
)
from triaffect.errors import AnnotationError

VA, EXPR, AU = (SINGLE_TASK_FORMATS[key] for key in ("VA", "EXPR", "AU"))
UNITS = "0,1,0,1,0,1,0,1,0,1,0,1"


def write(folder, form, *lines, end="\n"):
    path = folder / "video1.txt"
    path.write_text(end.join([form.header, *lines]) + end, newline="")
    return path


def plain(labels):
    """Rows of numbers, None where not annotated."""
    assert not np.isnan(labels.values).any()
    return np.where(labels.valid, labels.values, None).tolist()


def test_headers_are_the_published_ones():
    assert VA.header == "valence,arousal"
    assert EXPR.header == "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
    assert AU.header == "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
    assert MULTI_TASK_FORMAT.header == "image,valence,arousal,expression,aus"


def test_valence_and_arousal(tmp_path):
    path = write(tmp_path, VA, "0.5,-0.25", "-5,-5", "-1,-1.0", "-5.0,0.125")
    none = None
    expected = [[0.5, -0.25], [none, none], [-1, -1], [none, 0.125]]
    assert plain(read_frames(path, VA)) == expected


def test_expression(tmp_path):
    path = write(tmp_path, EXPR, "0", "7", "-1", "-1.0", "3.0")
    assert plain(read_frames(path, EXPR)) == [[0], [7], [None], [None], [3]]


def test_action_units_may_be_missing_one_by_one(tmp_path):
    path = write(tmp_path, AU, UNITS, "-1" + UNITS[1:])
    labels = read_frames(path, AU)
    assert labels.values.shape == labels.valid.shape == (2, 12)
    assert labels.valid.tolist() == [[True] * 12, [False] + [True] * 11]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_byte_order_mark_and_blanks(tmp_path, end):
    path = write(tmp_path, VA, " 0.5 , -0.25 ", "-5,-5", "", "", end=end)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert plain(read_frames(path, VA)) == [[0.5, -0.25], [None, None]]


MISTAKES = [
    (VA, "0.1,happy", "arousal", "'happy'"),
    (VA, "0.1,nan", "arousal", "'nan'"),
    (VA, "NaN,0.1", "valence", "'NaN'"),
    (VA, "inf,0.1", "valence", "'inf'"),
    (VA, "0.1,1.01", "arousal", "'1.01'"),
    (VA, "-4,0", "valence", "'-4'"),
    (VA, "0.1", "2 values", "1 value"),
    (VA, "0.1,", "arousal", "''"),
    (VA, "0.1,0.2,0.3", "2 values", "3 values"),
    (VA, '"0.1",0.2', "valence", '"0.1"'),
    (VA, "0_1,0.2", "valence", "'0_1'"),
    (VA, "", "2 values", "a blank line"),
    (VA, "1e400,0", "valence", "'1e400'"),
    (VA, "1e300,0", "valence", "'1e300'"),
    (VA, "0x1,0", "valence", "'0x1'"),
    (VA, "\u0661,0", "valence", "'\u0661'"),
    (VA, "\u00a00.5,0", "valence", "'\\xa00.5'"),
    (VA, "0.5,0\x0c", "arousal", "'0\\x0c'"),
    (VA, "x" * 5000 + ",0", "valence", "xxx…'"),
    (EXPR, "\ufeff3", "expression", "'\\ufeff3'"),
    (EXPR, "9", "expression", "'9'"),
    (EXPR, "8", "expression", "'8'"),
    (EXPR, "1.5", "expression", "'1.5'"),
    (EXPR, "-5", "expression", "'-5'"),
    (EXPR, "", "expression", "''"),
    (EXPR, "nan", "expression", "'nan'"),
    (AU, UNITS + ",1", "12 values", "13 action units"),
    (AU, UNITS[:-2], "12 values", "11 values"),
    (AU, "2" + UNITS[1:], "AU1", "'2'"),
    (AU, "0.5" + UNITS[1:], "AU1", "'0.5'"),
    (AU, UNITS[:-1] + "no", "AU26", "'no'"),
]


@pytest.mark.parametrize(("form", "line", "expected", "got"), MISTAKES)
def test_a_wrong_line_is_named(tmp_path, form, line, expected, got):
    good = {VA: "0.1,0.2", EXPR: "3", AU: UNITS}[form]
    path = write(tmp_path, form, good, good, line, good)
    with pytest.raises(AnnotationError) as error:
        read_frames(path, form)
    assert error.value.where == f"{path}:4"
    assert expected in error.value.expected
    assert got in error.value.got


def test_the_first_of_several_wrong_lines_counts_the_others(tmp_path):
    path = write(tmp_path, EXPR, "1", "9", "3", "x", "8")
    with pytest.raises(AnnotationError, match="2 more lines") as error:
        read_frames(path, EXPR)
    assert error.value.where == f"{path}:3"


def test_a_lone_carriage_return_is_no_line_end(tmp_path):
    path = write(tmp_path, VA, "0.1,0.2", "0.1,0.2\r0.3,0.4")
    with pytest.raises(AnnotationError, match=":3: expected 2 values"):
        read_frames(path, VA)


@pytest.mark.parametrize("blank", ["\x0c", "\u00a0", "\u2028", "\x1c", "\r\r"])
def test_a_last_line_of_other_blanks_is_a_line(tmp_path, blank):
    path = write(tmp_path, EXPR, "3", blank)
    with pytest.raises(AnnotationError) as error:
        read_frames(path, EXPR)
    assert error.value.where == f"{path}:3"


@pytest.mark.parametrize("end", ["\r", " \t\n\r\n \r\n", "\n\t"])
def test_a_file_may_end_in_blank_lines_or_within_an_end(tmp_path, end):
    path = tmp_path / "video1.txt"
    path.write_text(VA.header + "\r\n0.5,0.25" + end, newline="")
    assert plain(read_frames(path, VA)) == [[0.5, 0.25]]


@pytest.mark.parametrize("row", [1, 2])
def test_a_byte_order_mark_within_a_file_is_a_mistake(tmp_path, row):
    lines = ["3", "4", "5"]
    lines[row - 1] = "\ufeff" + lines[row - 1]
    path = write(tmp_path, EXPR, *lines)
    with pytest.raises(AnnotationError) as error:
        read_frames(path, EXPR)
    assert error.value.where == f"{path}:{row + 1}"


def test_wrong_header(tmp_path):
    path = write(tmp_path, VA, "0.1,0.2")
    with pytest.raises(AnnotationError, match=r"header AU1.*'valence,arousal'") as error:
        read_frames(path, AU)
    assert error.value.where == f"{path}:1"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"valence,arousal\n", b"valence,arousal"])
def test_an_empty_file(tmp_path, content):
    path = tmp_path / "video1.txt"
    path.write_bytes(content)
    with pytest.raises(AnnotationError) as error:
        read_frames(path, VA)
    assert error.value.where == f"{path}:1"


def test_bytes_that_are_no_text(tmp_path):
    path = write(tmp_path, VA, "0.1,0.2", "0.3,0.4")
    path.write_bytes(path.read_bytes().replace(b"0.3", b"0\xff3"))
    with pytest.raises(AnnotationError, match="0xff") as error:
        read_frames(path, VA)
    assert error.value.where == f"{path}:3"


def test_a_byte_order_mark_moves_no_line(tmp_path):
    path = tmp_path / "video1.txt"
    path.write_bytes(b"\xef\xbb\xbfvalence,arousal\n\xff0.1,0.2\n")
    with pytest.raises(AnnotationError, match="0xff") as error:
        read_frames(path, VA)
    assert error.value.where == f"{path}:2"


def test_a_file_that_cannot_be_opened(tmp_path):
    folder = tmp_path / "video1.txt"
    folder.mkdir()
    with pytest.raises(AnnotationError, match="a file to read"):
        read_frames(folder, VA)


def fields(low, high):
    number = st.floats(low, high).map(repr)
    return st.one_of(number, st.sampled_from(["-5", "-5.0", "-1", "x", "", "+0.5", "1e-3", "2"]))


@given(st.lists(st.tuples(fields(-1, 1), fields(-1, 1)), min_size=1, max_size=8))
def test_both_ways_to_read_agree(tmp_path_factory, rows):
    body = "\n".join(",".join(row) for row in rows)
    fast = files._parse_at_once(body, VA)
    slow = files._parse_by_line(tmp_path_factory.getbasetemp(), body, VA)
    if fast is not None:
        assert not slow.problems
        assert plain(fast.labels) == plain(slow.labels)


def test_a_good_file_is_read_at_once():
    assert files._parse_at_once("0.1,0.2\n-5,-5", VA) is not None
    assert files._parse_at_once("\n".join([f"a/00001.jpg,0,0,1,{UNITS}"] * 2), MULTI_TASK_FORMAT)


def test_multi_task_lines(tmp_path):
    path = write(
        tmp_path,
        MULTI_TASK_FORMAT,
        f"a/00001.jpg,0.5,-5,-1,{UNITS}",
        f"b c-1/00012.jpg,-5,-5,7,{','.join(['-1'] * 12)}",
    )
    labels = read_image_labels(path)
    assert labels.video.tolist() == ["a", "b c-1"]
    assert labels.frame.tolist() == [0, 11]
    assert labels.line.tolist() == [2, 3]
    first, second = plain(labels.labels)
    assert len(first) == len(second) == 15
    assert first[:3] == [0.5, None, None]
    assert second[2] == 7
    assert labels.problems == []


@pytest.mark.parametrize(
    "image",
    [
        "../x/00001.jpg",
        "../00001.jpg",
        "./00001.jpg",
        "a/../00001.jpg",
        "/etc/00001.jpg",
        "/00001.jpg",
        "..\\x/00001.jpg",
        "a/b/00001.jpg",
        "00001.jpg",
        "a/00000.jpg",
        "a/first.jpg",
        "a/00001.png",
        "a/-0001.jpg",
        "a/999999999999.jpg",
        "a /00001.jpg",
        "\u00a0a/00001.jpg",
        "a\u200b/00001.jpg",
        "a\u2028b/00001.jpg",
        "a\x7f/00001.jpg",
        "",
    ],
)
def test_an_image_outside_or_of_no_video(tmp_path, image):
    rest = f",0,0,1,{UNITS}"
    path = write(tmp_path, MULTI_TASK_FORMAT, "a/00001.jpg" + rest, image + rest)
    labels = read_image_labels(path)
    ((video, error),) = labels.problems
    assert video == ""
    assert error.where == f"{path}:3"
    assert repr(image) in error.got
    assert labels.video.tolist() == ["a"]


@pytest.mark.parametrize(
    ("values", "expected", "got"),
    [
        (f"0,0,1,{UNITS},1", "16 values", "13 action units"),
        (f"0,0,9,{UNITS}", "expression", "'9'"),
        (f"0,zero,1,{UNITS}", "arousal", "'zero'"),
        (f"nan,0,1,{UNITS}", "valence", "'nan'"),
    ],
)
def test_a_wrong_multi_task_line_is_its_videos(tmp_path, values, expected, got):
    good = f",0,0,1,{UNITS}"
    path = write(tmp_path, MULTI_TASK_FORMAT, "a/00001.jpg" + good, "b/00001.jpg," + values)
    labels = read_image_labels(path)
    ((video, error),) = labels.problems
    assert video == "b"
    assert error.where == f"{path}:3"
    assert expected in error.expected
    assert got in error.got
    assert labels.video.tolist() == ["a"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["", "image\n", "image,valence,arousal\n", "Image_name,\n"])
@pytest.mark.parametrize("comma", ["", ",", " , "])
def test_test_list(tmp_path, comma, header, end):
    path = tmp_path / "list.txt"
    images = ["images/00002.jpg", "b/00001.JPG", "b/123456.jpg", "images/00002.jpg"]
    text = header + "".join(f"{image}{comma}\n" for image in images) + "\n"
    path.write_text(text.replace("\n", end), newline="")
    assert read_test_list(path) == images


@pytest.mark.parametrize("first", ["video1_00001.jpg", "../a/00001.jpg", "a/00000.jpg", "picture"])
def test_a_broken_first_image_of_a_test_list_is_no_header(tmp_path, first):
    path = tmp_path / "list.txt"
    path.write_text(f"{first}\na/00002.jpg\n")
    with pytest.raises(AnnotationError) as error:
        read_test_list(path)
    assert error.value.where == f"{path}:1"


def test_a_test_list_of_a_header_alone(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("image,valence\n\n")
    with pytest.raises(AnnotationError, match="at least one image") as error:
        read_test_list(path)
    assert error.value.where == f"{path}:1"


def test_test_list_with_a_path_that_climbs_out(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("image\na/00002.jpg\n../a/00001.jpg\n")
    with pytest.raises(AnnotationError, match=":3: ") as error:
        read_test_list(path)
    assert error.value.where == f"{path}:3"
