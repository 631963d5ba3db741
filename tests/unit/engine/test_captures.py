"""Captured records in AWS's schema."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

from modeldyno.domain.endpoint import CaptureSpec
from modeldyno.engine.captures import capture_files
from tests.unit.domain.hosted import a_pair

AT = 1_700_000_000.25  # 2023-11-14T22:13:20.25Z
SPEC = CaptureSpec(100, "s3://bucket/captures/")


def test_both_sides_of_a_pair_lie_under_their_variants_and_share_an_event() -> None:
    files = capture_files([replace(a_pair(at=AT), capture=SPEC, inference_id="mine", attributes="a=1")])
    assert sorted(files) == [
        "s3://bucket/captures/e/main/2023/11/14/22",
        "s3://bucket/captures/e/shadow/2023/11/14/22",
    ]
    records = [json.loads(lines) for lines in files.values()]
    assert records[0]["eventMetadata"] == {
        "eventId": f"event-{AT}",
        "inferenceTime": "2023-11-14T22:13:20Z",
        "inferenceId": "mine",
        "customAttributes": ["a=1"],
    }
    assert records[0]["eventMetadata"] == records[1]["eventMetadata"]
    assert records[0]["captureData"]["endpointOutput"] == {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": "[1]",
        "encoding": "JSON",
    }
    assert records[0]["eventVersion"] == "0"


def test_what_is_not_listed_or_no_text_is_base64() -> None:
    spec = CaptureSpec(100, "s3://bucket", csv_types=("text/csv",))
    for pair in (a_pair(at=AT), replace(a_pair(b"\xff", at=AT, content_type="text/csv"))):
        line = capture_files([replace(pair, capture=spec, shadow=None)])
        output = json.loads(next(iter(line.values())))["captureData"]["endpointOutput"]
        assert output["encoding"] == "BASE64"
        assert base64.b64decode(output["data"]) == pair.production.body


def test_only_what_is_asked_for_is_kept() -> None:
    spec = CaptureSpec(100, "s3://bucket", input=False)
    (line,) = capture_files([replace(a_pair(at=AT), capture=spec, shadow=None)]).values()
    assert set(json.loads(line)["captureData"]) == {"endpointOutput"}
    assert capture_files([a_pair(at=AT)]) == {}
