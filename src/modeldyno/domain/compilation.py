"""Compiling: which model of a job can be compiled, for which inputs, and what comes of it.

A model is compiled to ONNX and measured beside the plain one. A job whose model cannot be goes on with the plain one,
and says why.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.errors import InputFault
from modeldyno.domain.images import Framework, ImageKind, classify
from modeldyno.domain.job import JobSpec, JobType
from modeldyno.domain.model import ModelSource

LIMIT_SECONDS = 900
"""How long one compilation may take. Chosen: minutes for a model of gigabytes, and a small part of a job's hours."""
ARTIFACT = "model.tar.gz"
_COMPILED = (Framework.SCIKIT_LEARN, Framework.XGBOOST, Framework.PYTORCH)


class CompilationStatus(StrEnum):
    """The wire's spelling. Source: botocore enum CompilationJobStatus."""

    INPROGRESS = "INPROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Compilation:
    """A compilation job: what of which model, and what came of it. Times are seconds since the Unix epoch.

    `model`: the plain one. `inputs`: the wire's DataInputConfig. `output_url`: the ``s3://`` prefix under which
    `artifact_url` is. `image`: what runs the compiled model. `worker_id`: who compiles.
    """

    name: str
    arn: str
    region: str
    job_id: str
    role_arn: str
    model: ModelSource
    framework: Framework
    framework_version: str | None
    inputs: str
    output_url: str
    image: str
    status: CompilationStatus
    worker_id: str
    created_at: float
    modified_at: float
    ended_at: float | None = None
    failure_reason: str = ""

    @property
    def artifact_url(self) -> str:
        """Where the compiled model is, once there is one."""
        return f"{self.output_url.rstrip('/')}/{self.name}/{ARTIFACT}"


def cannot_compile(spec: JobSpec, runtimes: Collection[str]) -> str | None:
    """Why the job's model is not compiled, although that was asked for; None: it can be tried.

    Assumption A-0170: Default jobs only. `runtimes`: the images of dyno.toml.
    """
    order = spec.compilation
    if order is None:
        return None
    if spec.job_type is not JobType.DEFAULT:
        return "only Default jobs measure compiled models"
    if order.data_input_config is None:
        return "DataInputConfig is not given, in ContainerConfig or the model package"
    try:  # the images of dyno.toml may have changed since the job was created
        choice, inputs = classify(spec.model, runtimes), read_inputs(order.data_input_config)
    except InputFault as fault:
        return fault.reason
    if choice.kind is not ImageKind.SCRIPT or choice.framework not in _COMPILED:
        named = ", ".join(_COMPILED)
        return f"{choice.image or choice.framework} is not compiled: {named} models are"
    if choice.compiled:
        return "it is a compiled model already"
    needs_shapes = choice.framework is not Framework.XGBOOST
    return "DataInputConfig names no input" if needs_shapes and not inputs else None


def read_inputs(text: str) -> Mapping[str, tuple[int, ...]]:
    """The shapes of a DataInputConfig by the names of the inputs: ``{"input": [1, 4]}``, or ``[[1, 4]]`` without names.

    The first number of a shape is that of the rows; it says nothing of how many rows a request has. XGBoost needs none.
    **Source:** SageMaker API reference, InputConfig, DataInputConfig: the forms for PyTorch and XGBoost.

    Raises:
        InputFault: it has another form.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputFault(f"DataInputConfig is not JSON: {error}") from None
    if isinstance(value, list):
        value = {f"input{number}": shape for number, shape in enumerate(value)}
    if not isinstance(value, dict):
        raise InputFault('DataInputConfig must name each input with its shape, such as {"input": [1, 4]}')
    for name, shape in value.items():
        if not _is_shape(shape):
            raise InputFault(f"DataInputConfig: the shape of {name} is {json.dumps(shape)}: it must be a list of sizes")
    return {name: tuple(shape) for name, shape in value.items()}


def _is_shape(value: object) -> bool:
    sizes = value if isinstance(value, list) else []
    return bool(sizes) and all(type(size) is int and size > 0 for size in sizes) and math.prod(sizes) < 2**31


def compiled_image(framework: Framework, version: str | None) -> str:
    """The image name under which a compiled model runs: its framework's environment, with ONNX Runtime."""
    return f"dyno-onnx-{framework}" + (f":{version}" if version else "")
