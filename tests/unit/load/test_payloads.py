"""What users send is read once, in a known order, within bounds."""

import os

import pytest

from modeldyno.domain.errors import InputFault
from modeldyno.load import payloads
from modeldyno.load.payloads import read_payloads


def test_bodies_come_in_the_order_of_their_paths_at_any_depth(tmp_path):
    for name in ("b.json", "a/z.json", "a/b/c.json", "c.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert [body.decode() for body in read_payloads(tmp_path)] == ["a/b/c.json", "a/z.json", "b.json", "c.json"]


def test_hidden_and_apple_double_files_are_not_payloads(tmp_path):
    for name in ("sample.csv", "._sample.csv", ".DS_Store", "__MACOSX/sample.csv", ".git/config"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert read_payloads(tmp_path) == (b"sample.csv",)


def test_an_archive_without_files_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFault, match="holds no files"):
        read_payloads(tmp_path)


def test_the_largest_body_that_an_endpoint_takes_is_taken_and_one_byte_more_is_refused_by_name(tmp_path):
    (tmp_path / "large.bin").write_bytes(bytes(6_291_456))
    assert len(read_payloads(tmp_path)[0]) == 6_291_456
    (tmp_path / "larger.bin").write_bytes(bytes(6_291_457))
    with pytest.raises(InputFault, match=r"'larger.bin' is larger than 6291456 bytes"):
        read_payloads(tmp_path)


def test_payloads_that_are_too_large_together_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(payloads, "LARGEST_TOTAL_BYTES", 5)
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "b").write_bytes(b"456")
    with pytest.raises(InputFault, match=r"larger than 5 bytes together .*'b'"):
        read_payloads(tmp_path)


def test_a_name_that_is_no_text_can_be_told(tmp_path, monkeypatch):
    monkeypatch.setattr(payloads, "LARGEST_BODY_BYTES", 1)
    (tmp_path / os.fsdecode(b"\xff.csv")).write_bytes(b"12")
    with pytest.raises(InputFault, match="larger than 1 bytes") as refusal:
        read_payloads(tmp_path)
    assert str(refusal.value).encode()
