"""What a person asked for on the command line, as the requests that the API takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.images import Framework

_WORDS = {
    Framework.SCIKIT_LEARN: ("SAGEMAKER-SCIKIT-LEARN", "sagemaker-scikit-learn"),
    Framework.XGBOOST: ("XGBOOST", "sagemaker-xgboost"),
    Framework.PYTORCH: ("PYTORCH", "pytorch-inference"),
    Framework.HUGGING_FACE: ("HUGGINGFACE", "huggingface-pytorch-inference"),
    Framework.TENSORFLOW: ("TENSORFLOW", "tensorflow-inference"),
}
"""The API's word for a framework, and the repository whose images select it."""
_OTHER_FRAMEWORK = "OTHER"  # an image decides by itself: the API wants a word, and Dyno asks nothing of it
_NAME = re.compile(r"[A-Za-z0-9](?:-*[A-Za-z0-9]){0,62}")
_CONTENT_TYPE = re.compile(r"[^\s/;]+/[^\s/;]+(?:\s*;.*)?")
_FRAMEWORK_VERSION = re.compile(r"[0-9]\.[A-Za-z0-9.-]+")
_RANGE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wish:
    """What to recommend for: an image, a framework, or both. `framework_version` None: the image's, or the newest.

    `thorough`: no configuration is given up because it cannot win. `open_loop`: the rate of arrivals that holds the
    latency limit is searched, too. `run_off`: leaders that lie close together are measured again in turns.
    """

    model: Path
    payload: Path
    content_type: str
    framework: Framework | None
    framework_version: str | None
    image: str | None
    instance_types: tuple[str, ...]
    max_p95_ms: int | None
    ranges: dict[str, tuple[str, ...]]
    thorough: bool = False
    open_loop: bool = True
    run_off: bool = True


def model_request(wish: Wish, name: str, model_url: str, role: str) -> dict[str, Any]:
    """CreateModel."""
    image = wish.image or (_WORDS[wish.framework][1] if wish.framework else "")
    return {
        "ModelName": name,
        "ExecutionRoleArn": role,
        "PrimaryContainer": {"Image": image, "ModelDataUrl": model_url},
    }


def job_request(wish: Wish, name: str, payload_url: str, role: str) -> dict[str, Any]:
    """CreateInferenceRecommendationsJob."""
    container: dict[str, Any] = {
        "Domain": "MACHINE_LEARNING",
        "Task": "OTHER",
        "Framework": _WORDS[wish.framework][0] if wish.framework else _OTHER_FRAMEWORK,
        "PayloadConfig": {"SamplePayloadUrl": payload_url, "SupportedContentTypes": [wish.content_type]},
    }
    if wish.framework_version:
        container["FrameworkVersion"] = wish.framework_version
    if wish.instance_types:
        container["SupportedInstanceTypes"] = list(wish.instance_types)
    request: dict[str, Any] = {
        "JobName": name,
        "JobType": "Default",
        "RoleArn": role,
        "InputConfig": {"ModelName": name, "ContainerConfig": container},
    }
    if wish.max_p95_ms is not None:
        threshold = {"Percentile": "P95", "ValueInMilliseconds": wish.max_p95_ms}
        request["StoppingConditions"] = {"ModelLatencyThresholds": [threshold]}
    return request


def role_arn(account: str) -> str:
    """The API wants a role. Nobody assumes it."""
    return f"arn:aws:iam::{account}:role/dyno"


def check_words(name: str | None, content_type: str, framework_version: str | None) -> None:
    """Tell mistakes in a person's words, where the API would answer with its patterns.

    Raises:
        InvalidRequest: which option, and how it is written.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise InvalidRequest(f"--name {name!r}: a name has letters, digits and hyphens between them, at most 63.")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidRequest(f"--content-type {content_type!r}: write it in full, such as text/csv.")
    if framework_version is not None and not _FRAMEWORK_VERSION.fullmatch(framework_version):
        raise InvalidRequest(f"--framework-version {framework_version!r}: write it like 1.5 or 1.5.2.")


def parse_ranges(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``NAME=v1,v2`` texts as values to try by variable.

    Raises:
        InvalidRequest: a text has another form, or a variable comes twice.
    """
    ranges: dict[str, tuple[str, ...]] = {}
    for text in given:
        match = _RANGE.fullmatch(text)
        values = tuple(dict.fromkeys(value for value in match[2].split(",") if value)) if match else ()
        if match is None or not values:
            raise InvalidRequest(f"--env {text!r} is not understood: it has the form NAME=value1,value2.")
        if match[1] in ranges:
            raise InvalidRequest(f"--env {match[1]} is given twice: write --env {match[1]}=value1,value2.")
        ranges[match[1]] = values
    return ranges


def job_name(model: Path, token: str) -> str:
    """A name for a job about this model: its own name and `token`, as the API allows it (at most 63 characters)."""
    stem = re.sub(r"\.(tar\.gz|tgz)$", "", model.resolve().name)
    words = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:40].strip("-")
    return f"{words or 'model'}-{token}"
