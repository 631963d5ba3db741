"""Which program runs for a deploy request: script mode in an environment of its own, or the user's command."""

from __future__ import annotations

import compileall
import hashlib
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from uv import find_uv_bin

from modeldyno.domain.errors import InputFault
from modeldyno.domain.images import SCRIPT_WORKERS_VARIABLE, Framework, ImageChoice, ImageKind, classify
from modeldyno.domain.trial import Flag
from modeldyno.instances.environments_build import Environment, Recipient, build
from modeldyno.instances.environments_recipes import RECIPES
from modeldyno.instances.environments_uv import Uv
from modeldyno.instances.prepared import Prepared
from modeldyno.ports import DeployRequest
from modeldyno.ports.instances import untold

_RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
_MODEL = "/opt/ml/model"
_THREADS_VARIABLE = "OMP_NUM_THREADS"
_WITHOUT_SCRIPT = frozenset({Framework.PYTORCH, Framework.HUGGING_FACE, Framework.TENSORFLOW})  # load by themselves
_ONE_THREAD = "1"  # Source: aws/sagemaker-xgboost-container, serving.py; -tensorflow-serving-container, serve.py


@dataclass(frozen=True, slots=True)
class OwnRuntime:
    """A command for an image, of dyno.toml's [runtimes]. `worker_variable`: what sets its number of workers."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    worker_variable: str | None = None


class Environments:
    """Finds or builds what a deploy request runs. `cache_dir` holds the environments and a copy of the runtime.

    `build_from_source`: root, too, builds a script's requirements that have no wheel. Another user always does: the
    model's own code runs as that user anyway.
    """

    def __init__(
        self,
        cache_dir: Path,
        runtimes: Mapping[str, OwnRuntime],
        uv: Path | None = None,
        build_from_source: bool = False,
    ) -> None:
        self._cache_dir = cache_dir.resolve()
        self._runtimes = runtimes
        self._uv = Uv(uv or Path(find_uv_bin()), os.environ)
        self._may_build = build_from_source or os.geteuid() != 0

    async def prepare(self, request: DeployRequest) -> Prepared:
        """What to run. May take minutes the first time (an environment is built); cancellable.

        Raises:
            InputFault: the image is none that runs here, or the environment cannot be built.
        """
        choice = classify(request.source, self._runtimes)
        if choice.kind is ImageKind.OWN:
            return self._own(choice.image or "", request)
        code_dir = _code_dir(request)
        algorithm = _is_algorithm(choice, code_dir, request)
        _demand_model(request) if algorithm else _demand_script(choice, code_dir, request)
        workers = _workers(request)
        environment = await build(
            self._cache_dir,
            self._uv,
            Recipient(choice, _requirements(code_dir), _has_gpu(request), self._may_build),
            request.on_progress,
        )
        return self._script(choice, environment, workers, request, algorithm)

    async def prepare_compiler(self, request: DeployRequest, orders: str) -> Prepared:
        """What compiles the request's model. `orders`: what the runtime's ``compiling`` reads.

        Raises:
            InputFault: as `prepare`.
        """
        choice = replace(classify(request.source, self._runtimes), compiled=True)
        code_dir = _code_dir(request)
        if not _is_algorithm(choice, code_dir, request):
            _demand_script(choice, code_dir, request)
        recipient = Recipient(choice, _requirements(code_dir), False, self._may_build)
        environment = await build(self._cache_dir, self._uv, recipient, request.on_progress)
        runtime = _copy_runtime(self._cache_dir)
        command = (str(environment.python), "-u", str(runtime), "--framework", str(choice.framework))
        return Prepared(
            command=(*command, "--compile", orders),
            readable=(environment.path, runtime, Path(sys.base_prefix)),
            description=environment.title,
        )

    async def python_for(self, framework: Framework, version: str | None = None) -> Path:
        """The interpreter of that framework's environment, built where it is not there: to train a model with what
        will serve it.

        Raises:
            InputFault: it cannot be built.
        """
        choice = ImageChoice(ImageKind.SCRIPT, framework, version)
        return (await build(self._cache_dir, self._uv, Recipient(choice), untold)).python

    def _script(
        self, choice: ImageChoice, environment: Environment, workers: int, request: DeployRequest, algorithm: bool
    ) -> Prepared:
        runtime = _copy_runtime(self._cache_dir)
        settings = {SCRIPT_WORKERS_VARIABLE: str(workers)}
        if algorithm or choice.framework is Framework.TENSORFLOW:
            settings[_THREADS_VARIABLE] = _ONE_THREAD
        threads = request.environment.get(_THREADS_VARIABLE)
        effective = settings if threads is None else settings | {_THREADS_VARIABLE: threads}
        mode = "built-in algorithm" if algorithm else "script mode"
        mode = f"{mode}, compiled" if choice.compiled else mode
        compiled = ("--compiled",) if choice.compiled else ()
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        return Prepared(
            command=(str(environment.python), "-u", str(runtime), "--framework", str(choice.framework), *compiled),
            environment=settings,
            readable=(environment.path, runtime, Path(sys.base_prefix)),
            description=f"{environment.title} on {python}, {mode}, {_count(workers)}",
            flags={Flag.VERSION_NEAREST: environment.nearest} if environment.nearest else {},
            effective_environment=effective,
        )

    def _own(self, image: str, request: DeployRequest) -> Prepared:
        own = self._runtimes[image]
        program = shutil.which(own.command[0]) if own.command else None
        if program is None:
            named = own.command[0] if own.command else "nothing"
            raise InputFault(f'The command of [runtimes."{image}"] in dyno.toml cannot be run: {named} is not there.')
        effective: dict[str, str] = {}
        if own.worker_variable is not None:
            workers = request.environment.get(own.worker_variable, own.environment.get(own.worker_variable))
            if workers is not None:
                effective[own.worker_variable] = workers
        return Prepared(
            command=(str(Path(program).absolute()), *own.command[1:]),
            environment=dict(own.environment),
            description=f"{image}, {Path(program).name} of dyno.toml",
            effective_environment=effective,
        )


def _code_dir(request: DeployRequest) -> Path | None:
    """Where the script is on this host."""
    if request.code_dir is not None:
        return request.code_dir
    submitted = request.environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or f"{_MODEL}/code"
    if Path(submitted).is_relative_to(_MODEL):
        return request.model_dir and request.model_dir / Path(submitted).relative_to(_MODEL)
    return Path(submitted)


def _demand_script(choice: ImageChoice, code_dir: Path | None, request: DeployRequest) -> None:
    if choice.framework is Framework.TENSORFLOW:
        _demand_saved_model(request)
    program = request.environment.get("SAGEMAKER_PROGRAM") or "inference.py"
    program = program if program.endswith(".py") else program + ".py"
    assert choice.framework is not None
    if choice.framework in _WITHOUT_SCRIPT or (code_dir is not None and (code_dir / program).is_file()):
        return
    title = RECIPES[choice.framework].title
    raise InputFault(f"The model has no code/{program}. {title} needs a script. Add one with a model_fn(model_dir).")


def _is_algorithm(choice: ImageChoice, code_dir: Path | None, request: DeployRequest) -> bool:
    """Whether XGBoost's built-in algorithm serves: no script is named, and none is there under its usual name.

    **Source:** aws/sagemaker-xgboost-container, serving.py: SAGEMAKER_PROGRAM decides.
    """
    if choice.framework is not Framework.XGBOOST or request.environment.get("SAGEMAKER_PROGRAM"):
        return False
    return code_dir is None or not (code_dir / "inference.py").is_file()


def _demand_saved_model(request: DeployRequest) -> None:
    found = request.model_dir.rglob("saved_model.pb") if request.model_dir is not None else ()
    if not any(path.parent.name.isdigit() for path in found):
        raise InputFault("The model has no NAME/NUMBER/saved_model.pb: TensorFlow needs a SavedModel of a version.")


def _demand_model(request: DeployRequest) -> None:
    model_dir = request.model_dir
    if model_dir is None or not any(path.is_file() for path in model_dir.iterdir()):
        raise InputFault("The model has no script, and no file beside its directories that could be a booster.")


def _requirements(code_dir: Path | None) -> Path | None:
    path = code_dir and code_dir / "requirements.txt"
    return path if path is not None and path.is_file() else None


def _has_gpu(request: DeployRequest) -> bool:
    return any(part.kind == "gpu" for part in request.spec.instance_type.accelerators)


def _workers(request: DeployRequest) -> int:
    """What was asked for, else one for each vCPU, as the containers have it; a serverless one has one invocation at a
    time, and so one worker."""
    text = request.environment.get(SCRIPT_WORKERS_VARIABLE)
    if not text and request.spec.serverless is not None:
        return 1
    if not text:
        return max(1, math.ceil(request.spec.instance_type.vcpus or 1))
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise InputFault(f"{SCRIPT_WORKERS_VARIABLE} is {text!r}: it must be a whole number above 0.")
    return int(text)


def _count(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _copy_runtime(cache_dir: Path) -> Path:
    """The runtime's files by content, compiled, where a model's user can read them (Dyno's own may be private)."""
    files = sorted(_RUNTIME.glob("*.py"))
    digest = hashlib.sha256(b"\0".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()[:16]
    target = cache_dir / f"runtime-{digest}"
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
        made = Path(scratch, "runtime")
        made.mkdir()
        for file in files:
            shutil.copyfile(file, made / file.name)
        compileall.compile_dir(made, quiet=1, stripdir=str(made), prependdir=str(target))
        for entry in [made, *made.rglob("*")]:
            entry.chmod(0o755 if entry.is_dir() else 0o644)
        try:
            made.rename(target)
        except OSError:  # another one was faster
            if not target.is_dir():
                raise
    return target
