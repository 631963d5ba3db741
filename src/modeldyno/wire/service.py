"""The truth about each API: operations and shapes, read from botocore's pinned service models.

Only the files are botocore's; its own `loaders` and `model` modules are not imported. They parse the 2.5 MB of
documentation into dictionaries (six times the memory, and four times the start-up time, of what is read here), and
nothing on the wire needs it. A test compares every shape with botocore's own reading.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import botocore
import msgspec

from modeldyno.domain.errors import UnknownOperation

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Api(StrEnum):
    """The services that are spoken here, by the name that botocore's model of each has."""

    SAGEMAKER = "sagemaker"
    RUNTIME = "sagemaker-runtime"
    LOGS = "logs"
    METRICS = "cloudwatch"
    STS = "sts"
    IAM = "iam"
    S3 = "s3"
    SCALING = "application-autoscaling"


class Reference(msgspec.Struct, frozen=True, rename="camel"):
    """A member, element, key or value: the name of its shape, and how it is written where that is not JSON.

    location: of HTTP bindings: ``header``, ``headers``, ``querystring``, ``uri`` or ``statusCode``. location_name: its
    name on the wire. flattened: a list without an element around its members.
    """

    shape: str
    location: str | None = None
    location_name: str | None = None
    flattened: bool = False
    xml_attribute: bool = False


class Namespace(msgspec.Struct, frozen=True):
    """An XML namespace."""

    uri: str = ""


class ErrorTrait(msgspec.Struct, frozen=True, rename="camel"):
    """The code and HTTP status of an error, where it is not its shape's name and 400."""

    code: str | None = None
    http_status_code: int = 400


class Shape(msgspec.Struct, frozen=True, rename="camel"):
    """One shape of a service model. `min` and `max` bound a number's value, or a length. `payload`: the member that is
    the whole body.

    **Source:** botocore ``data/SERVICE/*/service-2.json``; what each trait means: the Smithy specification.
    """

    type: str
    members: dict[str, Reference] = {}
    required: tuple[str, ...] = ()
    member: Reference | None = None
    key: Reference | None = None
    value: Reference | None = None
    min: int | float | None = None
    max: int | float | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    union: bool = False
    sensitive: bool = False
    exception: bool = False
    payload: str | None = None
    flattened: bool = False
    location_name: str | None = None
    timestamp_format: str | None = None
    error: ErrorTrait = ErrorTrait()


class Http(msgspec.Struct, frozen=True, rename="camel"):
    """The method and path template of an operation."""

    method: str
    request_uri: str
    response_code: int = 200


class Output(msgspec.Struct, frozen=True, rename="camel"):
    """The shape of an answer; `result_wrapper` is the element around it in the query protocol."""

    shape: str
    result_wrapper: str | None = None


class OperationShapes(msgspec.Struct, frozen=True):
    """The shapes of one operation; no `input` or `output` where the body is empty."""

    http: Http
    input: Reference | None = None
    output: Output | None = None
    errors: tuple[Reference, ...] = ()


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """How the service is spoken to: of JSON, with ``X-Amz-Target: TARGETPREFIX.OPERATION``."""

    api_version: str
    service_id: str
    json_version: str = "1.0"
    target_prefix: str = ""
    xml_namespace: str = ""


class ServiceModel(msgspec.Struct, frozen=True):
    """The service as botocore's file has it."""

    metadata: Metadata
    operations: dict[str, OperationShapes]
    shapes: dict[str, Shape]


@cache
def service(api: Api = Api.SAGEMAKER) -> ServiceModel:
    """The pinned model (SageMaker's takes about 60 ms at the first call; then it is kept)."""
    folder = Path(botocore.BOTOCORE_ROOT) / "data" / api
    latest = max(folder.glob("*/service-2.json*"))
    raw = latest.read_bytes()
    return msgspec.json.decode(gzip.decompress(raw) if latest.suffix == ".gz" else raw, type=ServiceModel)


def operation_shapes(operation: str, api: Api = Api.SAGEMAKER) -> OperationShapes:
    """The shapes of an operation.

    Raises:
        UnknownOperation: the service has no operation of that name.
    """
    model = service(api)
    found = model.operations.get(operation)
    if found is None:
        raise UnknownOperation(f"{model.metadata.service_id} has no operation {shortened(operation)!r}.")
    return found


@cache
def instance_type_enums() -> tuple[str, ...]:
    """The names of the enum shapes that list instance types (``ProductionVariantInstanceType``, ...)."""
    return tuple(
        name for name, shape in service().shapes.items() if any(value.startswith("ml.") for value in shape.enum)
    )


def fold(
    api: Api, name: str, make: Callable[[Shape, str, Callable[[str], Callable[_P, _T]]], Callable[_P, _T]]
) -> Callable[_P, _T]:
    """Build one function for a shape out of the functions for what it holds.

    `make(shape, name, child)` gets the function of any inner shape by ``child(name)``; a shape that holds itself
    (SearchExpression) gets a function that looks the finished one up when it runs.
    """
    made: dict[str, Callable[_P, _T]] = {}
    shapes = service(api).shapes

    def child(name: str) -> Callable[_P, _T]:
        if name not in made:
            made[name] = lambda *args, **kwargs: made[name](*args, **kwargs)
            made[name] = make(shapes[name], name, child)
        return made[name]

    return child(name)


def shortened(text: str, limit: int = 256) -> str:
    """The text, cut with an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def lower_first(name: str) -> str:
    """``JobName`` as AWS writes it in messages: ``jobName``."""
    return name[:1].lower() + name[1:]
