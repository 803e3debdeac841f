"""Records of JSON: what does not fit is named, nothing is converted silently."""

from dataclasses import dataclass

import pytest

from triaffect.errors import StoreError
from triaffect.io.records import parse_record


@dataclass(frozen=True)
class Span:
    rows: tuple[int, int]
    name: str = "x"


@dataclass(frozen=True)
class Both:
    format: int
    spans: dict[str, Span]


def read(content):
    return parse_record(Both, content, StoreError, "make it again", "here.json:3")


def test_a_record_is_read_with_its_parts():
    record = read({"format": 1, "spans": {"a": {"rows": [1, 2]}}})
    assert record.spans == {"a": Span((1, 2))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the content: .*, got "),
        ({"format": 1}, "expected the field spans, got none"),
        ({"format": "1", "spans": {}}, "format: a valid integer, got '1'"),
        ({"format": True, "spans": {}}, "format: a valid integer, got True"),
        ({"format": 1, "spans": {"a": {"rows": [1, 2, 3]}}}, "spans.a.rows"),
        ({"format": 1, "spans": {}, "nam": 3}, "only fields that this version knows, got nam"),
        (
            {"format": 1, "spans": {"a": {"rows": [1, 2], "nam": ""}}},
            r"only fields that this version knows, got spans\.a\.nam",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_place_and_a_remedy(content, message):
    with pytest.raises(StoreError, match=message) as caught:
        read(content)
    assert str(caught.value).startswith("here.json:3: ")
    assert str(caught.value).endswith("; make it again")
