"""The functions of a model's script, and a request's way through them.

**Source:** aws/sagemaker-inference-toolkit transformer.py and aws/sagemaker-containers _transformer.py: which functions
there are, their arguments, what stands in for those that are missing, and the statuses of errors.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable  # noqa: UP035 - the runtime reads on Python 3.8

from . import codecs
from .answers import Answer, failure
from .configuration import Configuration
from .context import Context
from .defaults import BY_FRAMEWORK

STAGES = ("input_fn", "predict_fn", "output_fn")


class ScriptError(Exception):
    """The script cannot be used; the text says why."""


def load_script(path: Path, code_dir: Path) -> ModuleType | None:
    """The script as a module of its own name, with its directory importable; None where there is none."""
    if not path.is_file():
        return None
    for directory in (str(code_dir), str(path.parent)):
        if directory not in sys.path:
            sys.path.insert(0, directory)
    spec = importlib.util.spec_from_file_location(path.stem, str(path))
    if spec is None or spec.loader is None:
        raise ScriptError(f"{path} is not a Python script.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


class Handlers:
    """A loaded model, ready to answer one request at a time. `loader`: in the place of model_fn."""

    def __init__(self, configuration: Configuration, loader: Callable[[str], Any] | None = None) -> None:
        self._default_accept = configuration.default_accept
        self._context = Context(str(configuration.model_dir))
        script = load_script(configuration.program, configuration.code_dir)
        defaults = BY_FRAMEWORK[configuration.framework](configuration.default_accept)
        self._transform = self._choose(script, defaults)
        model_fn = self._with_context(loader or _function(script, "model_fn") or defaults.model_fn, 1)
        before, after = _function(script, "pre_model_fn"), _function(script, "model_warmup_fn")
        model_dir = str(configuration.model_dir)
        if before:
            self._with_context(before, 1)(model_dir)
        self.model = model_fn(model_dir)
        if after:
            self._with_context(after, 2)(model_dir, self.model)

    def _choose(self, script: ModuleType | None, defaults: Any) -> Callable[..., Any]:
        transform = _function(script, "transform_fn")
        own = {name: _function(script, name) for name in STAGES}
        if transform:
            if any(own.values()):
                raise ScriptError("transform_fn cannot be combined with input_fn, predict_fn or output_fn.")
            return self._with_context(transform, 4)
        read, predict, write = (self._with_context(own[name] or getattr(defaults, name), 2) for name in STAGES)

        def stages(model: Any, data: Any, content_type: str, accept: str) -> Any:
            return write(predict(read(data, content_type), model), accept)

        return stages

    def _with_context(self, function: Callable[..., Any], arguments: int) -> Callable[..., Any]:
        """The function, called with the context as its last argument if it takes one more than it must."""
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) == arguments + 1:
            last = parameters[-1]
            if last.name == "context" or (last.default is last.empty and last.kind is last.POSITIONAL_OR_KEYWORD):
                return lambda *given: function(*given, self._context)
        try:
            inspect.signature(function).bind(*range(arguments))
        except TypeError:
            name = getattr(function, "__name__", "a function")
            raise ScriptError(f"{name} must take {arguments} arguments, or one more for the context.") from None
        return function

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """One request answered. Whatever the script raises becomes an answer, with its traceback in the log."""
        request = self._context.begin(headers)
        content_type = request.get_request_property("content-type") or codecs.JSON
        accept = request.get_request_property("accept")
        if not accept or accept == codecs.ANY:
            accept = self._default_accept
        try:
            data = body.decode("utf-8") if codecs.media_type(content_type) in codecs.TEXTS else body
            result = self._transform(self.model, data, content_type, accept)
            written, said = result if isinstance(result, tuple) and len(result) == 2 else (result, accept)
            answered = dict(request.response_headers)
            said = answered.pop("content-type", None) or said
            return Answer(request.status_code, str(said), _body(written), answered)
        except Exception as error:
            return failure(error)


def _function(script: ModuleType | None, name: str) -> Callable[..., Any] | None:
    return getattr(script, name, None)


def _body(written: Any) -> bytes:
    if isinstance(written, str):
        return written.encode()
    if isinstance(written, (bytes, bytearray, memoryview)):
        return bytes(written)
    if written is None or isinstance(written, (dict, list, int, float)):
        return json.dumps(written).encode()
    raise TypeError(f"output_fn returned {type(written).__name__}: it must return text, bytes or what JSON can say.")
