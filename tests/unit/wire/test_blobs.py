"""The pinned model has no blob; the next one may."""

from __future__ import annotations

import pytest

from modeldyno.domain.errors import MalformedRequest
from modeldyno.wire import encode, readers


def test_a_blob_is_bytes_inside_and_base64_on_the_wire():
    read, write = readers._JSON["blob"], encode._SCALARS["blob"]("Body")
    assert write(b"\x00\xffdyno") == "AP9keW5v"
    assert read("AP9keW5v", ".body") == b"\x00\xffdyno"
    with pytest.raises(MalformedRequest, match="'body'"):
        read("not base64!", ".body")
    with pytest.raises(encode.ResultError):
        write("text")
