"""The head of an invocation: read from ASGI's scope, and written for the model server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from modeldyno.router.refusals import Refused, refused

DEFAULT_REGION = "us-east-1"
_PATH = re.compile(r"/endpoints/([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})/(invocations|invocations-response-stream)")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Source: botocore, SageMaker Runtime, InvokeEndpointInput: the patterns and lengths of these headers.
_ATTRIBUTES = re.compile(rb"[\x20-\x7e]{0,1024}")
_INFERENCE_ID = re.compile(rb"[\x20-\x7e]{1,64}")
_UNSUPPORTED = {
    b"x-amzn-sagemaker-target-model": "TargetModel: there are no multi-model endpoints",
    b"x-amzn-sagemaker-target-container-hostname": "TargetContainerHostname: there are no multi-container endpoints",
    b"x-amzn-sagemaker-enable-explanations": "EnableExplanations: there are no explainers",
    b"x-amzn-sagemaker-inference-component": "InferenceComponentName: there are no inference components",
}


@dataclass(slots=True)
class Invocation:
    """One request, but for its body. Header values are as they came, None where they did not.

    key: under what its outcome is counted, empty where it cannot be mirrored; selected: it is to be mirrored.
    waited_ns: for a server of a serverless variant.
    """

    region: str
    endpoint: str
    streams: bool
    length: int = 0
    content_type: bytes | None = None
    accept: bytes | None = None
    attributes: bytes | None = None
    inference_id: bytes | None = None
    session_id: bytes | None = None
    target_variant: str | None = None
    client_id: bytes | None = None
    key: str = ""
    selected: bool = False
    waited_ns: int = 0


def read_head(scope: Mapping[str, Any]) -> Invocation:
    """What is asked for.

    Raises:
        Refused: no such path, another method, or a header that breaks a rule.
    """
    found = _PATH.fullmatch(scope["path"])
    if found is None:
        raise refused(404, "NotFoundException", f"Nothing is at {scope['path'][:256]}.")
    if scope["method"] != "POST":
        raise refused(405, "MethodNotAllowedException", f"{scope['method'][:32]} is not for invocations: POST is.")
    invocation = Invocation(DEFAULT_REGION, found[1], found[2] != "invocations")
    for name, value in scope["headers"]:
        _take(invocation, name, value)
    return invocation


def _take(invocation: Invocation, name: bytes, value: bytes) -> None:
    read = _READERS.get(name)
    if read is not None:
        read(invocation, value)
    elif name in _UNSUPPORTED:
        raise refused(400, "ValidationError", f"{_UNSUPPORTED[name]}.")


def _authorization(invocation: Invocation, value: bytes) -> None:
    invocation.region = _region_of(value[: value.find(b",")] if b"," in value else value)


@lru_cache(maxsize=256)
def _region_of(credential: bytes) -> str:
    """Of ``AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/sagemaker/aws4_request``; the key may hold slashes."""
    scope = credential.partition(b"Credential=")[2].decode("latin-1").split("/")
    if len(scope) < 5 or scope[-1] != "aws4_request" or not _REGION.fullmatch(scope[-3]):
        return DEFAULT_REGION
    return scope[-3]


def _length(invocation: Invocation, value: bytes) -> None:
    invocation.length = int(value)


def _content_type(invocation: Invocation, value: bytes) -> None:
    invocation.content_type = value


def _accept(invocation: Invocation, value: bytes) -> None:
    if invocation.accept is None:
        invocation.accept = value


def _stream_accept(invocation: Invocation, value: bytes) -> None:
    invocation.accept = value


def _attributes(invocation: Invocation, value: bytes) -> None:
    invocation.attributes = _checked(value, _ATTRIBUTES, "CustomAttributes", "up to 1024 visible ASCII characters")


def _inference_id(invocation: Invocation, value: bytes) -> None:
    invocation.inference_id = _checked(value, _INFERENCE_ID, "InferenceId", "1 to 64 visible ASCII characters")


def _session_id(invocation: Invocation, value: bytes) -> None:
    invocation.session_id = value


def _target_variant(invocation: Invocation, value: bytes) -> None:
    invocation.target_variant = value.decode("latin-1")


def _client_id(invocation: Invocation, value: bytes) -> None:
    invocation.client_id = value


def _checked(value: bytes, pattern: re.Pattern[bytes], member: str, rule: str) -> bytes:
    if not pattern.fullmatch(value):
        shown = value[:64].decode("latin-1")
        raise refused(400, "ValidationError", f"Value '{shown}' at '{member}' failed to satisfy constraint: {rule}.")
    return value


_READERS = {
    b"authorization": _authorization,
    b"content-length": _length,
    b"content-type": _content_type,
    b"accept": _accept,
    b"x-amzn-sagemaker-accept": _stream_accept,
    b"x-amzn-sagemaker-custom-attributes": _attributes,
    b"x-amzn-sagemaker-inference-id": _inference_id,
    b"x-amzn-sagemaker-session-id": _session_id,
    b"x-amzn-sagemaker-target-variant": _target_variant,
    b"amz-sdk-invocation-id": _client_id,
}


def upstream_head(invocation: Invocation, length: int, *extra: bytes) -> bytes:
    """What a model server is sent: of the caller's headers only those that the API has.

    **Source:** developer guide: SageMaker strips all POST headers except those supported by the API.
    """
    lines = [b"POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n" % length]
    if invocation.content_type is not None:
        lines.append(b"Content-Type: %b\r\n" % invocation.content_type)
    if invocation.accept is not None:
        lines.append(b"Accept: %b\r\n" % invocation.accept)
    if invocation.attributes is not None:
        lines.append(b"X-Amzn-SageMaker-Custom-Attributes: %b\r\n" % invocation.attributes)
    if invocation.inference_id is not None:
        lines.append(b"X-Amzn-SageMaker-Inference-Id: %b\r\n" % invocation.inference_id)
    if invocation.session_id is not None:
        lines.append(b"X-Amzn-SageMaker-Session-Id: %b\r\n" % invocation.session_id)
    lines.extend(extra)
    lines.append(b"\r\n")
    return b"".join(lines)


__all__ = ["DEFAULT_REGION", "Invocation", "Refused", "read_head", "upstream_head"]
