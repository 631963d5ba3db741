"""From headers and bytes to a service, an operation, a region and typed parameters, by whatever protocol.

JSON names the operation in X-Amz-Target, RPC v2 in its path with a body in CBOR, the query protocol in a form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec

from modeldyno.domain.errors import MalformedRequest, UnknownOperation
from modeldyno.wire.cbor import read_cbor
from modeldyno.wire.forms import read_form
from modeldyno.wire.readers import Dialect, read_params
from modeldyno.wire.scope import region_of, scope_of
from modeldyno.wire.service import Api, service, shortened

FORM = "application/x-www-form-urlencoded"
PREFIXES = {
    "SageMaker": Api.SAGEMAKER,
    "Logs_20140328": Api.LOGS,
    "GraniteServiceVersion20100801": Api.METRICS,
    "AnyScaleFrontendService": Api.SCALING,
}
"""The services by what stands before an operation's name. A test compares it with the models, which are not read before
they are asked for."""
_RPC = re.compile(r"/service/([A-Za-z0-9_]{1,64})/operation/([A-Za-z0-9_]{1,128})")


class Protocol(Enum):
    """How a call came and its answer goes."""

    JSON = "json"
    CBOR = "cbor"
    QUERY = "query"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, readable and typed, but not validated: `params` may break any rule of the model but a type's.

    Timestamps are seconds since the Unix epoch, blobs are bytes, members that were null are absent. Members that the
    model does not know are still there, as they came. key_id: of the key that the request names, whether it is one or
    not.
    """

    operation: str
    region: str
    params: dict[str, object]
    api: Api = Api.SAGEMAKER
    protocol: Protocol = Protocol.JSON
    key_id: str | None = None


def is_rpc_path(path: str) -> bool:
    """Whether it is the path of a call in RPC v2."""
    return _RPC.fullmatch(path) is not None


def protocol_of(headers: Mapping[str, str], path: str) -> Protocol:
    """The protocol of a request, by its head."""
    if is_rpc_path(path):
        return Protocol.CBOR
    if "x-amz-target" not in headers and headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
        return Protocol.QUERY
    return Protocol.JSON


def api_of(headers: Mapping[str, str], path: str) -> Api | None:
    """The service that the head of a request names; None where it names none that is here (a form's body does)."""
    if rpc := _RPC.fullmatch(path):
        return PREFIXES.get(rpc[1])
    return PREFIXES.get(headers.get("x-amz-target", "").rpartition(".")[0])


def decode_call(headers: Mapping[str, str], body: bytes, path: str = "/", query: str = "") -> Call:
    """Read a request. `headers` have lower-case names; the `query` may be that of a presigned URL.

    Raises:
        UnknownOperation: it names no operation of a service that is here.
        MalformedRequest: the body cannot be read, nests too deeply, or a member has the wrong type (the message has
            its path); or the credential scope names no region.
    """
    protocol = protocol_of(headers, path)
    if protocol is Protocol.QUERY:
        api, operation, document = read_form(body)
        dialect = Dialect.TEXT
    else:
        api, operation = _operation(headers, path)
        document, dialect = (
            (read_cbor(body), Dialect.CBOR) if protocol is Protocol.CBOR else (_json(body), Dialect.JSON)
        )
    scope = scope_of(headers, query)
    params = read_params(operation, document, api, dialect)
    return Call(operation, region_of(scope), params, api, protocol, scope.key_id if scope else None)


def _operation(headers: Mapping[str, str], path: str) -> tuple[Api, str]:
    rpc = _RPC.fullmatch(path)
    target = f"{rpc[1]}.{rpc[2]}" if rpc else headers.get("x-amz-target")
    if target is None:
        raise UnknownOperation("The request has no X-Amz-Target header; a call names one: SageMaker.DescribeModel.")
    prefix, _, operation = target.rpartition(".")
    api = PREFIXES.get(prefix)
    if api is None or operation not in service(api).operations:
        whose = "SageMaker" if api is None else service(api).metadata.service_id
        raise UnknownOperation(f"{shortened(target)!r} is not an operation of {whose}.")
    return api, operation


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except RecursionError as error:
        raise MalformedRequest("The request nests too deeply.") from error
    except ValueError as error:  # msgspec's own errors and UnicodeDecodeError are ones
        raise MalformedRequest(f"The request is not JSON in UTF-8: {error}.") from error
