"""Frames, read back by botocore's own parser."""

from __future__ import annotations

from botocore.eventstream import EventStreamBuffer

from modeldyno.router.eventstream import exception, payload_part


def messages(data: bytes) -> list[tuple[dict[str, str], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [(dict(event.headers), event.payload) for event in buffer]


def test_parts_and_an_exception_are_read_back_whole() -> None:
    data = payload_part(b"one") + payload_part(b"") + payload_part(b"\x00" * 70_000)
    data += exception("ModelStreamError", "it broke", "StreamBroken")
    first, empty, large, broken = messages(data)
    assert first == (
        {":event-type": "PayloadPart", ":content-type": "application/octet-stream", ":message-type": "event"},
        b"one",
    )
    assert (empty[1], len(large[1])) == (b"", 70_000)
    assert broken[0][":exception-type"] == "ModelStreamError"
    assert broken[0][":message-type"] == "exception"
    assert broken[1] == b'{"Message":"it broke","ErrorCode":"StreamBroken"}'
