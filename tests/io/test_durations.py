"""Durations as a user writes them."""

import pytest

from triaffect.cli._shared import read_duration
from triaffect.errors import TriaffectError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.4s", 0.4), ("400ms", 0.4), ("0.4", 0.4), (" 2 S ", 2), ("0", 0), (".5s", 0.5),
     ("10s", 10), ("33.3 ms", 0.0333)],
)  # fmt: skip
def test_durations(text, seconds):
    assert read_duration(text, "--va-delay", "a delay", 10.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "s", "-0.4s", "0.4m", "4e-1", "nan", "inf", "0,4s", "400", "11s", "1_0ms", "0.4s0.4s",
     "٤s", "."],
)  # fmt: skip
def test_what_is_no_duration(text):
    with pytest.raises(TriaffectError, match="--va-delay: expected a delay from 0 to 10 s"):
        read_duration(text, "--va-delay", "a delay", 10.0)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("0,4s", "write 0.4s"), (" 0,4", "write 0.4"), ("400,5ms", "write 400.5ms"), ("11,5s", ""),
     ("0,4,1", ""), ("none", "")],
)  # fmt: skip
def test_a_decimal_comma_is_told_how_to_be_written(text, remedy):
    with pytest.raises(TriaffectError) as error:
        read_duration(text, "--va-delay", "a delay", 10.0)
    assert error.value.remedy == remedy
