"""Captured requests and answers, as JSON lines in AWS's schema and layout of keys.

**Source:** SageMaker developer guide, *Capture data from real-time endpoint*: the record, and
``DESTINATION/ENDPOINT/VARIANT/yyyy/mm/dd/hh/FILE.jsonl``; what is encoded how: CaptureContentTypeHeader.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import UTC, datetime

from modeldyno.domain.endpoint import CaptureSpec
from modeldyno.domain.pair import Pair, Side

_DEFAULT_CSV, _DEFAULT_JSON = "text/csv", "application/json"


def capture_files(pairs: Iterable[Pair]) -> dict[str, bytes]:
    """What of these pairs is captured: the lines of each ``s3://`` directory, without a name for the file."""
    lines: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.capture is None:
            continue
        for side in (pair.production, pair.shadow):
            if side is not None and side.error is None:
                lines.setdefault(_directory(pair, side), []).append(_line(pair, side, pair.capture))
    return {directory: "".join(written).encode() for directory, written in lines.items()}


def _directory(pair: Pair, side: Side) -> str:
    assert pair.capture is not None
    hour = datetime.fromtimestamp(pair.at, UTC).strftime("%Y/%m/%d/%H")
    return f"{pair.capture.destination.rstrip('/')}/{pair.endpoint}/{side.variant}/{hour}"


def _line(pair: Pair, side: Side, capture: CaptureSpec) -> str:
    data: dict[str, object] = {}
    if capture.input:
        data["endpointInput"] = _part("INPUT", pair.content_type, pair.body, capture)
    if capture.output:
        data["endpointOutput"] = _part("OUTPUT", side.content_type, side.body, capture)
    event: dict[str, object] = {
        "eventId": pair.event_id,
        "inferenceTime": datetime.fromtimestamp(pair.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if pair.inference_id is not None:
        event["inferenceId"] = pair.inference_id
    if pair.attributes is not None:
        event["customAttributes"] = [pair.attributes]
    record = {"captureData": data, "eventMetadata": event, "eventVersion": "0"}
    return json.dumps(record, separators=(",", ":")) + "\n"


def _part(mode: str, content_type: str, body: bytes, capture: CaptureSpec) -> dict[str, object]:
    encoding = _encoding(content_type, capture)
    try:
        text = body.decode() if encoding != "BASE64" else base64.b64encode(body).decode()
    except UnicodeDecodeError:  # not what its content type says
        encoding, text = "BASE64", base64.b64encode(body).decode()
    return {"observedContentType": content_type or None, "mode": mode, "data": text, "encoding": encoding}


def _encoding(content_type: str, capture: CaptureSpec) -> str:
    """Base64 unless the content type is listed. Assumption A-0073: where no list is given, CSV and JSON are."""
    kind = content_type.partition(";")[0].strip().lower()
    default = not capture.csv_types and not capture.json_types
    if kind in [one.lower() for one in capture.csv_types] or (default and kind == _DEFAULT_CSV):
        return "CSV"
    if kind in [one.lower() for one in capture.json_types] or (default and kind == _DEFAULT_JSON):
        return "JSON"
    return "BASE64"
