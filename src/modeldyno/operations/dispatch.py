"""From an operation's name to its function: refuse what is not here, validate, call."""

from __future__ import annotations

from typing import Any

from modeldyno.domain.errors import UnknownOperation
from modeldyno.operations.context import Context
from modeldyno.operations.registry import OPERATIONS_OF
from modeldyno.wire.service import Api, instance_type_enums, operation_shapes
from modeldyno.wire.validate import validate_input


def call(context: Context, operation: str, params: dict[str, Any], api: Api = Api.SAGEMAKER) -> dict[str, Any]:
    """Carry out one call with typed parameters; the result is in terms of the output shape, {} where there is none.

    Instance types of the catalogue (own hardware too) pass wherever the model lists AWS's own.

    Raises:
        UnknownOperation: the service has no such operation, or Dyno does not do it.
        InvalidRequest: with all violations of the service model.
        RequestError: what the operation itself refuses.
    """
    entry = OPERATIONS_OF[api].get(operation)
    if entry is None:
        operation_shapes(operation, api)
        raise UnknownOperation(
            f"Dyno does not implement {operation} yet; docs/reference/operations.md lists what it does."
        )
    validate(context, operation, params, api)
    return entry.handler(context, params) or {}


def validate(context: Context, operation: str, params: dict[str, Any], api: Api = Api.SAGEMAKER) -> None:
    """Check typed parameters against the service model and the catalogue's instance types. Raises as `call`."""
    own = dict.fromkeys(instance_type_enums(), context.catalogue) if api is Api.SAGEMAKER else {}
    validate_input(operation, params, api=api, extra_enum_values=own)
