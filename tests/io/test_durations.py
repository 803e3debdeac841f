"""Durations and positions as a user writes them."""

import pytest

from triaffect.errors import TableError, TriaffectError
from triaffect.io.durations import parse_duration


def parse_delay(text):
    return parse_duration(text, "--va-delay", what="a delay", most_s=10.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.4s", 0.4), ("400ms", 0.4), ("0.4", 0.4), (" 2 S ", 2), ("0", 0), (".5s", 0.5),
     ("10s", 10), ("33.3 ms", 0.0333), ("1/30", 1 / 30), (0.25, 0.25), (3, 3), ("0:09.5", 9.5)],
)  # fmt: skip
def test_parse_duration_reads_numbers_units_and_fractions(text, seconds):
    assert parse_delay(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), (90, 90), ("90s", 90), ("1:30", 90), ("01:02:03.5", 3723.5), ("75:00", 4500),
     ("100:00:00", 360_000)],
)  # fmt: skip
def test_parse_duration_reads_positions_of_a_clock(text, seconds):
    assert parse_duration(text, "start") == seconds


@pytest.mark.parametrize(
    "text", ["1:3", "1:60", "1:60:00", "1:2:03", ":30", "1:30s", "1:-5", "-1:30", "1::30"]
)
def test_parse_duration_refuses_what_no_clock_shows(text):
    with pytest.raises(TriaffectError, match=r"start: expected a time from 0 s on, such as .*1:30"):
        parse_duration(text, "start")


@pytest.mark.parametrize(
    "text",
    ["", "s", "-0.4s", "0.4m", "4e-1", "nan", "inf", "0,4s", "400", "11s", "1_0ms", "0.4s0.4s",
     "٤s", ".", "1/0", "1/2/3", "0:11", -0.5, float("nan"), float("inf")],
)  # fmt: skip
def test_parse_duration_names_the_option_and_its_bounds(text):
    with pytest.raises(TriaffectError, match="--va-delay: expected a delay from 0 to 10 s"):
        parse_delay(text)


def test_parse_duration_raises_the_class_it_is_given():
    with pytest.raises(TableError, match=r"smooth: expected a time from 0\.01 to 60 s"):
        parse_duration("0", "smooth", least_s=0.01, most_s=60, error=TableError)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [("0,4s", "write 0.4s"), (" 0,4", "write 0.4"), ("400,5ms", "write 400.5ms"), ("11,5s", ""),
     ("0,4,1", ""), ("none", "")],
)  # fmt: skip
def test_parse_duration_corrects_a_decimal_comma(text, remedy):
    with pytest.raises(TriaffectError) as error:
        parse_delay(text)
    assert error.value.remedy == remedy
