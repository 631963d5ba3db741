"""TensorFlow: a SavedModel behind TensorFlow Serving's REST contract, and the container's handlers around it.

There is no tensorflow_model_server: the model is run by TensorFlow in Python, in this process.

**Source:** TensorFlow Serving, RESTful API (api_rest.md): requests, responses, errors. aws/sagemaker-tensorflow-
serving-container, python_service.py, tfs_utils.py and tensorflow-serving.js: handlers, their context, which content
types become which request, where models are looked for.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Tuple  # noqa: UP035 - the runtime reads on Python 3.8

from . import codecs
from .answers import Answer
from .boosters import THREADS_VARIABLE
from .configuration import Configuration
from .handlers import ScriptError, load_script
from .servables import RestDoor, RestReply

JSON_LINES = ("application/jsonlines", "application/jsons")
SIGNATURE = "serving_default"
PREDICT = "predict"
NAME_VARIABLE = "SAGEMAKER_TFS_DEFAULT_MODEL_NAME"
_ATTRIBUTES = re.compile(r"(tfs-[a-z-]+)=([^,]+)")
_INTRA, _INTER = "SAGEMAKER_TFS_INTRA_OP_PARALLELISM", "SAGEMAKER_TFS_INTER_OP_PARALLELISM"


class Context(NamedTuple):
    """What a handler gets beside its data. There is no gRPC: `grpc_port` and `channel` are None."""

    model_name: str | None
    model_version: str | None
    method: str | None
    rest_uri: str
    grpc_port: int | None
    channel: Any
    custom_attributes: str | None
    request_content_type: str
    accept_header: str
    content_length: int


class BadRequest(Exception):
    """What TensorFlow Serving answers with 400 and this text."""


class Servable:
    """One SavedModel, by its signatures."""

    def __init__(self, path: Path) -> None:
        self._tensorflow = import_module("tensorflow")
        threads = os.environ.get(THREADS_VARIABLE) or "1"
        self._tensorflow.config.threading.set_intra_op_parallelism_threads(int(os.environ.get(_INTRA) or threads))
        self._tensorflow.config.threading.set_inter_op_parallelism_threads(int(os.environ.get(_INTER) or "1"))
        self.name, self.version = path.parent.name, path.name
        self.model = self._tensorflow.saved_model.load(str(path))
        if not self.model.signatures:
            raise ValueError(f"{self.name}/{self.version}/saved_model.pb has no signature: there is nothing to call.")

    def predict(self, body: bytes | str) -> RestReply:
        """What ``:predict`` answers to a request in JSON."""
        try:
            return RestReply(200, json.dumps(self._predicted(_object(body))).encode())
        except BadRequest as error:
            return refusal(400, str(error))
        except Exception as error:  # of TensorFlow, about the data: shapes, types, an operation that refuses it
            if not isinstance(error, (ValueError, TypeError, self._tensorflow.errors.OpError)):
                raise
            return refusal(400, str(error))

    def _predicted(self, request: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
        name = request.get("signature_name") or SIGNATURE
        if name not in self.model.signatures:
            raise BadRequest(f'Serving signature name: "{name}" not found in signature def')
        call = self.model.signatures[name]
        inputs = call.structured_input_signature[1]
        if ("instances" in request) == ("inputs" in request):
            raise BadRequest("Request body must have exactly one of 'instances' and 'inputs'")
        rows = "instances" in request
        columns = _columns(request["instances"], inputs) if rows else _named(request["inputs"], inputs)
        outputs = call(**{key: self._tensor(value, inputs[key]) for key, value in columns.items()})
        told = {key: _plain(key, outputs[key].numpy().tolist()) for key in sorted(outputs)}
        if not rows:
            return {"outputs": told if len(told) > 1 else next(iter(told.values()))}
        return {"predictions": _rows(told)}

    def _tensor(self, value: Any, spec: Any) -> Any:
        value = _decoded(value)
        tensor = self._tensorflow.constant(value, dtype=spec.dtype)
        if not spec.shape.is_compatible_with(tensor.shape):
            raise BadRequest(f"input {spec.name} has the shape {tensor.shape}, the model takes {spec.shape}")
        return tensor


def _object(body: bytes | str) -> Dict[str, Any]:  # noqa: UP006
    try:
        value = json.loads(body)
    except ValueError as error:
        raise BadRequest(f"JSON Parse error: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("Request body must be a JSON object")
    return value


def _columns(instances: Any, inputs: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    """Rows as columns: a value each, or an object of named values each."""
    if not isinstance(instances, list) or not instances:
        raise BadRequest("'instances' must be a list of one instance at least")
    if isinstance(instances[0], dict) and "b64" not in instances[0]:
        if any(not isinstance(row, dict) or row.keys() != instances[0].keys() for row in instances):
            raise BadRequest("every instance must name the same inputs")
        return _checked({key: [row[key] for row in instances] for key in instances[0]}, inputs)
    return _named(instances, inputs)


def _named(value: Any, inputs: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    if isinstance(value, dict) and "b64" not in value:
        return _checked(value, inputs)
    if len(inputs) != 1:
        raise BadRequest(f"the model has several inputs, so each must be named: {', '.join(sorted(inputs))}")
    return {next(iter(inputs)): value}


def _checked(columns: Dict[str, Any], inputs: Dict[str, Any]) -> Dict[str, Any]:  # noqa: UP006
    if columns.keys() != inputs.keys():
        raise BadRequest(f"the inputs are {', '.join(sorted(inputs))}, not {', '.join(sorted(columns))}")
    return columns


def _decoded(value: Any) -> Any:
    """With ``{"b64": ...}`` as the bytes that they mean."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) and "b64" in value else value


def _plain(name: str, value: Any) -> Any:
    """As JSON says it: bytes as text, or in base64 where the output's name ends so."""
    if isinstance(value, list):
        return [_plain(name, each) for each in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode("utf-8")
    return value


def _rows(told: Dict[str, Any]) -> List[Any]:  # noqa: UP006
    if any(not isinstance(column, list) for column in told.values()):
        raise BadRequest("an output has no rows: ask for it with 'inputs'")
    if len(told) == 1:
        return list(next(iter(told.values())))
    return [dict(zip(told, row)) for row in zip(*told.values())]  # noqa: B905 - of one length; Python 3.8


def refusal(status: int, text: str) -> RestReply:
    """An error as TensorFlow Serving tells it."""
    return RestReply(status, json.dumps({"error": text}).encode())


def find_servable(model_dir: Path) -> Path:
    """The directory ``NAME/VERSION`` to serve: of several models the named one, of several versions the newest.

    Raises:
        ValueError: there is none.
    """
    found = sorted(path.parent for path in model_dir.rglob("saved_model.pb") if path.parent.name.isdigit())
    wanted = os.environ.get(NAME_VARIABLE)
    chosen = [path for path in found if path.parent.name == (wanted or found[0].parent.name)]
    if not chosen:
        names = ", ".join(sorted({path.parent.name for path in found})) or "none"
        which = f"{wanted}/VERSION/saved_model.pb" if wanted else "NAME/VERSION/saved_model.pb, VERSION a number"
        raise ValueError(f"The model's directory has no {which}. Models in it: {names}.")
    return max(chosen, key=lambda path: int(path.name))


Handle = Callable[[Any, Context], Tuple[Any, str]]  # noqa: UP006


class SavedModel:
    """A SavedModel, ready to answer one request at a time."""

    def __init__(self, configuration: Configuration) -> None:
        lib = configuration.code_dir / "lib"
        if lib.is_dir():
            sys.path.insert(0, str(lib))
        self.model = Servable(find_servable(configuration.model_dir))
        script = load_script(configuration.program, configuration.code_dir)
        self._default_accept = configuration.default_accept
        self._rest = f"/v1/models/{self.model.name}"
        self._door = RestDoor(self._at) if script is not None else None
        self._handle = self._default if script is None else self._handlers(script)

    def _handlers(self, script: Any) -> Handle:
        if hasattr(script, "handler"):
            own: Handle = script.handler
            return own
        if not (hasattr(script, "input_handler") and hasattr(script, "output_handler")):
            raise ScriptError("The script must have handler(data, context), or input_handler and output_handler.")

        def handle(data: Any, context: Context) -> Tuple[Any, str]:  # noqa: UP006
            reply = self.model.predict(script.input_handler(data, context))
            answer: Tuple[Any, str] = script.output_handler(reply, context)  # noqa: UP006
            return answer

        return handle

    def _default(self, data: Any, context: Context) -> Tuple[Any, str]:  # noqa: UP006
        kind = codecs.media_type(context.request_content_type)
        reply = self.model.predict(request_of(data.read(), kind))
        return reply, codecs.JSON

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """One request answered. Whatever a handler raises is 500 with ``{"error": ...}``, as in the container."""
        lower = {name.lower(): value for name, value in headers.items()}
        try:
            context = self._context(lower, len(body))
            told, kind = self._handle(io.BytesIO(body), context)
        except codecs.StatusError as error:
            reply = refusal(error.status_code, str(error))
            return Answer(reply.status_code, codecs.JSON, reply.content, {})
        except Exception as error:
            traceback.print_exception(type(error), error, error.__traceback__)
            return Answer(500, codecs.JSON, json.dumps({"error": str(error)}).encode(), {})
        if isinstance(told, RestReply):
            return Answer(told.status_code, str(kind), told.content, {})
        return Answer(200, str(kind), told.encode() if isinstance(told, str) else bytes(told), {})

    def _context(self, lower: dict[str, str], length: int) -> Context:
        custom = lower.get("x-amzn-sagemaker-custom-attributes")
        attributes = dict(_ATTRIBUTES.findall(custom or ""))
        name, version = attributes.get("tfs-model-name"), attributes.get("tfs-model-version")
        method = attributes.get("tfs-method")
        uri = f"/v1/models/{name or self.model.name}" + (f"/versions/{version}" if version else "")
        uri = f"{uri}:{method or PREDICT}"
        wrong = self._unknown(uri)
        if wrong is not None:
            raise codecs.StatusError(404, wrong)
        accept = lower.get("accept")
        return Context(
            model_name=name,
            model_version=version,
            method=method,
            rest_uri=(self._door.address if self._door else "") + uri,
            grpc_port=None,
            channel=None,
            custom_attributes=custom,
            request_content_type=lower.get("content-type") or codecs.JSON,
            accept_header=accept if accept and accept != codecs.ANY else self._default_accept,
            content_length=length,
        )

    def _at(self, path: str, body: bytes) -> RestReply:
        """What the REST door answers at a path."""
        wrong = self._unknown(path)
        return self.model.predict(body) if wrong is None else refusal(404, wrong)

    def _unknown(self, path: str) -> str | None:
        place, _, method = path.rpartition(":")
        if place not in (self._rest, f"{self._rest}/versions/{self.model.version}"):
            return f"Servable not found for request: {place}; {self._rest} is served, version {self.model.version}"
        return None if method == PREDICT else f"Method {method} is not supported: {PREDICT} is"


def request_of(body: bytes, kind: str) -> bytes:
    """A request without handlers as TensorFlow Serving's: CSV and JSON lines are instances, and so is JSON that does
    not say which it is.

    Raises:
        StatusError: 415 for other types, 400 for content that is not what its type says.
    """
    try:
        if kind == codecs.CSV:
            rows = codecs.decode(body.decode("utf-8"), kind).tolist()
            return json.dumps({"instances": [[float(cell) for cell in row] for row in rows]}).encode()
        if kind in JSON_LINES:
            return json.dumps({"instances": [json.loads(line) for line in body.splitlines() if line.strip()]}).encode()
    except ValueError as error:
        raise codecs.StatusError(400, f"The content is not {kind}: {error}") from error
    if kind != codecs.JSON:
        known = ", ".join((codecs.JSON, *JSON_LINES, codecs.CSV))
        raise codecs.StatusError(415, f"Unsupported content type {kind}: {known} are read without an input_handler.")
    try:
        value = json.loads(body)
    except ValueError:
        return body  # the model's own answer tells what is wrong with it
    if isinstance(value, dict) and value.keys() & {"instances", "inputs"}:
        return body
    return json.dumps({"instances": value if isinstance(value, list) else [value]}).encode()
