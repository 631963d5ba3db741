"""Do two answers say the same?"""

from __future__ import annotations

import io
import time

import numpy as np
import pytest

from modeldyno.domain.agreement import Agreement, compare
from modeldyno.engine.answers import read_answer

JSON = "application/json"


def both(one: bytes, other: bytes, kind: str = JSON, tolerance: float = 1e-6) -> Agreement:
    return compare(one, other, read_answer(one, kind), read_answer(other, kind), tolerance)


def test_equal_bytes_agree_in_everything() -> None:
    found = both(b'{"predictions": [{"label": "a"}]}', b'{"predictions": [{"label": "a"}]}')
    assert (found.exact, found.agrees, found.labels, found.labels_agree) == (True, True, 1, 1)


def test_numbers_agree_within_the_tolerance_and_space_does_not_matter() -> None:
    assert both(b"[0.1, 2]", b"[ 0.10000000001,2.0 ]").agrees
    assert not both(b"[0.1]", b"[0.1001]").agrees
    assert both(b"[0.1]", b"[0.1001]", tolerance=0.01).agrees


def test_a_field_that_differs_is_named_once_with_both_values() -> None:
    found = both(b'{"predictions": [{"score": 1.5}, {"score": 2.5}]}', b'{"predictions": [{"score": 3}, {"score": 4}]}')
    assert [(one.field, one.production, one.shadow) for one in found.fields] == [("predictions[].score", "1.5", "3")]
    assert found.error == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("one", "other", "field"),
    [
        (b'{"a": 1}', b'{"a": 1, "b": 2}', "b"),
        (b'{"a": 1}', b'{"a": "1"}', "a"),
        (b'{"a": [1, 2]}', b'{"a": [1]}', "a[] (length)"),
        (b'{"a": null}', b'{"a": false}', "a"),
        (b'{"a": true}', b'{"a": 1}', "a"),
        (b"[1]", b"{}", ""),
    ],
)
def test_what_is_missing_or_of_another_kind_differs(one: bytes, other: bytes, field: str) -> None:
    assert field in [difference.field for difference in both(one, other).fields]


def test_the_label_of_scores_is_the_highest_and_of_a_quantity_there_is_none() -> None:
    scores = both(b"[[0.2, 0.8], [0.9, 0.1]]", b"[[0.4, 0.6], [0.3, 0.7]]")
    assert (scores.labels, scores.labels_agree, scores.agrees) == (2, 1, False)
    assert both(b"[3.25, 1.5]", b"[3.25, 1.75]").labels in (0, 1)
    assert both(b'{"predictions": [3.25]}', b'{"predictions": [3.5]}').labels == 0
    assert both(b'["cat", "dog"]', b'["cat", "cow"]').labels_agree == 1


def test_csv_is_compared_by_cell() -> None:
    found = both(b"0.1,0.9\n0.8,0.2\n", b"0.1,0.9\r\n0.3,0.7\r\n", "text/csv; charset=utf-8")
    assert not found.agrees
    assert (found.labels, found.labels_agree) == (2, 1)


def test_npy_is_compared_by_element() -> None:
    def npy(values: list[float]) -> bytes:
        file = io.BytesIO()
        np.save(file, np.array(values))
        return file.getvalue()

    assert both(npy([1.0, 2.0]), npy([1.0, 2.0 + 1e-9]), "application/x-npy").agrees
    assert not both(npy([1.0, 2.0]), npy([1.0, 2.1]), "application/x-npy").agrees


@pytest.mark.parametrize("kind", [JSON, "text/csv", "application/x-npy", "image/png", ""])
@pytest.mark.parametrize("body", [b"\xff\xfe{", b"{", b"", b"[" * 100_000, b'{"a":' * 1000])
def test_what_cannot_be_read_is_compared_byte_for_byte(kind: str, body: bytes) -> None:
    assert both(body, body, kind).agrees
    assert not both(body, body + b"x", kind).exact


def test_not_a_number_agrees_with_itself_only() -> None:
    assert both(b"[NaN]", b"[NaN]").agrees
    assert not both(b"[NaN]", b"[1.0]").agrees


DEEP = 900


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"[" * DEEP + b"1" + b"]" * DEEP, b"[" * DEEP + b"2" + b"]" * DEEP),
        (b'{"label":' * DEEP + b"1" + b"}" * DEEP, b'{"label":' * DEEP + b"2" + b"}" * DEEP),
        (b"[" * DEEP + b"1" + b"]" * DEEP, b"{}"),
        (b"[1e308]", b"[-1e308]"),
        (b"[1e999]", b"[-1e999]"),
        (b"[NaN]", b"[1]"),
        (b"[1" + b"0" * 4000 + b"]", b"[1.5]"),
        (b"[1" + b"0" * 4000 + b"]", b"[2" + b"0" * 4000 + b"]"),
        (b'["\\ud800"]', b'["a"]'),
        (b'{"\\ud800": 1}', b'{"\\udfff": 2}'),
        (b'{"%b": 1}' % (b"k" * 1_000_000), b"{}"),
        (b'{"a": 1, "a": 2}', b'{"a": 1}'),
    ],
)
def test_hostile_answers_differ_in_words_that_can_be_stored(one: bytes, other: bytes) -> None:
    found = both(one, other)
    assert not found.agrees
    assert found.fields
    for difference in found.fields:
        text = f"{difference.field}{difference.production}{difference.shadow}"
        assert len(text.encode()) < 1500


def test_numbers_of_any_size_agree_with_themselves() -> None:
    for number in (b"1e308", b"-1e308", b"NaN", b"Infinity", b"1" + b"0" * 4000):
        assert both(b"[ %b ]" % number, b"[%b]" % number).agrees


def test_comparing_large_answers_takes_a_bounded_time() -> None:
    empty = b"[" + b",".join([b"[]"] * 1_500_000) + b"]"
    began = time.process_time()
    assert both(empty, empty + b" ").agrees
    keys = b"{" + b",".join(b'"%d":{"x":%d}' % (number, number) for number in range(200_000)) + b"}"
    assert both(keys, keys.replace(b"x", b"y")).fields
    assert time.process_time() - began < 10


def npy(shape: str, kind: str = "|S0", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    "body",
    [
        npy("(1000000000,)"),
        npy("(1000000000, 0)", "<f8"),
        npy("(1000000000000,)", "<f8"),
        b"PK\x03\x04rest",
        b"\x80\x04",
    ],
)
def test_arrays_that_claim_to_be_large_are_not_read(body: bytes) -> None:
    assert read_answer(body, "application/x-npy") is None
