"""Whether two answers say the same, and how they differ where they do not."""

import io

import numpy
import pytest

from modeldyno.runtime.answers import Answer
from modeldyno.runtime.equality import difference


def of(body, content_type="application/json", status=200):
    return Answer(status, content_type, body, {})


def npy(array):
    stream = io.BytesIO()
    numpy.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("one", "other", "content_type"),
    [
        (b"[0.1234567, 12345678]", b"[0.1234571, 12345690.5]", "application/json"),
        (b'{"a": [null, "x", true, NaN]}', b'{"a": [null, "x", true, NaN]}', "application/json"),
        (b"1,2.50001\nx,3\n", b"1.0,2.5\nx,3\n", "text/csv; charset=utf-8"),
        (b"[0.5, 0.5],[0.1, 0.9]", b"[0.500001, 0.5],[0.1, 0.899999]", "text/csv"),
        (npy(numpy.array([1.0, 2.0])), npy(numpy.array([1.00001, 2.0], dtype="float32")), "application/x-npy"),
        (b"\x00\x01", b"\x00\x01", "image/png"),
    ],
)
def test_numbers_may_differ_by_what_single_precision_loses(one, other, content_type):
    assert difference(of(one, content_type), of(other, content_type)) is None


@pytest.mark.parametrize(
    ("one", "other", "content_type", "told"),
    [
        (b"[0, 1]", b"[0, 2]", "application/json", "2 in place of 1"),
        (b"[0.5]", b"[0.501]", "application/json", "0.501 in place of 0.5"),
        (b"[1, 2]", b"[1]", "application/json", "[1] in place of [1, 2]"),
        (b'{"a": 1}', b'{"b": 1}', "application/json", "{'b': 1} in place of {'a': 1}"),
        (b'["x"]', b'["y"]', "application/json", "'y' in place of 'x'"),
        (b"[true]", b"[1.5]", "application/json", "1.5 in place of True"),
        (b"[NaN]", b"[0]", "application/json", "0 in place of nan"),
        (b"1,2\n", b"1,2,3\n", "text/csv", "[1.0, 2.0, 3.0] in place of [1.0, 2.0]"),
        (b"\x00", b"\x01", "image/png", "the bodies differ"),
    ],
)
def test_what_differs_is_told(one, other, content_type, told):
    assert difference(of(one, content_type), of(other, content_type)) == told


def test_another_status_or_content_type_is_told():
    assert difference(of(b"1"), of(b"ValueError: x", "text/plain", 500)) == "the status is 500, not 200: ValueError: x"
    assert difference(of(b"1"), of(b"1", "text/csv")) == "the content type is text/csv, not application/json"


def test_errors_may_have_other_words():
    assert difference(of(b"too few columns", status=400), of(b"wrong shape", status=400)) is None
