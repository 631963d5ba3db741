"""The truth about the API: operations and shapes, read from botocore's pinned service model.

Only the file is botocore's; its own `loaders` and `model` modules are not imported. They parse the 2.5 MB of
documentation into dictionaries (six times the memory, and four times the start-up time, of what is read here), and
nothing on the wire needs it. A test compares every shape with botocore's own reading.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import botocore
import msgspec

from modeldyno.domain.errors import UnknownOperation

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Reference(msgspec.Struct, frozen=True):
    """A member, element, key or value: the name of its shape."""

    shape: str


class Shape(msgspec.Struct, frozen=True):
    """One shape of the service model. `min` and `max` bound a number's value, or a length.

    **Source:** botocore ``data/sagemaker/*/service-2.json``; what each trait means: the Smithy specification.
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


class OperationShapes(msgspec.Struct, frozen=True):
    """The shapes of one operation; no `output` where AWS answers with an empty body."""

    input: Reference
    output: Reference | None = None
    errors: tuple[Reference, ...] = ()


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """How the service is spoken to: JSON 1.1, with ``X-Amz-Target: TARGETPREFIX.OPERATION``."""

    api_version: str
    json_version: str
    target_prefix: str


class ServiceModel(msgspec.Struct, frozen=True):
    """The service as botocore's file has it."""

    metadata: Metadata
    operations: dict[str, OperationShapes]
    shapes: dict[str, Shape]


@cache
def service() -> ServiceModel:
    """The pinned SageMaker model (about 60 ms at the first call, then kept)."""
    folder = Path(botocore.BOTOCORE_ROOT) / "data" / "sagemaker"
    latest = max(folder.glob("*/service-2.json*"))
    raw = latest.read_bytes()
    return msgspec.json.decode(gzip.decompress(raw) if latest.suffix == ".gz" else raw, type=ServiceModel)


def operation_shapes(operation: str) -> OperationShapes:
    """The shapes of an operation.

    Raises:
        UnknownOperation: SageMaker has no operation of that name.
    """
    found = service().operations.get(operation)
    if found is None:
        raise UnknownOperation(f"SageMaker has no operation {shortened(operation)!r}.")
    return found


@cache
def instance_type_enums() -> tuple[str, ...]:
    """The names of the enum shapes that list instance types (``ProductionVariantInstanceType``, ...)."""
    return tuple(
        name for name, shape in service().shapes.items() if any(value.startswith("ml.") for value in shape.enum)
    )


def fold(
    name: str, make: Callable[[Shape, str, Callable[[str], Callable[_P, _T]]], Callable[_P, _T]]
) -> Callable[_P, _T]:
    """Build one function for a shape out of the functions for what it holds.

    `make(shape, name, child)` gets the function of any inner shape by ``child(name)``; a shape that holds itself
    (SearchExpression) gets a function that looks the finished one up when it runs.
    """
    made: dict[str, Callable[_P, _T]] = {}

    def child(name: str) -> Callable[_P, _T]:
        if name not in made:
            made[name] = lambda *args, **kwargs: made[name](*args, **kwargs)
            made[name] = make(service().shapes[name], name, child)
        return made[name]

    return child(name)


def shortened(text: str, limit: int = 256) -> str:
    """The text, cut with an ellipsis when it is longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def lower_first(name: str) -> str:
    """``JobName`` as AWS writes it in messages: ``jobName``."""
    return name[:1].lower() + name[1:]
