"""Does a figure of a real model repeat? A random forest by script mode, deployed once and searched again and again.

The model is the demonstration's: scikit-learn's RandomForestClassifier of 100 trees on handwritten digits, one row a
request, on one vCPU. Its environment is built when it is first needed and kept under ``.cache``. Each run is a search
of a Default job with a generator of its own on the same deployment; it counts when it is within 8% of the median of
the runs on its deployment (a call that goes on with ``--resume`` deploys anew).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from benchmarks.figures import Benchmark, Figure, Subject, at_least, main
from benchmarks.journal import Run
from benchmarks.truth import search
from modeldyno.app.compose import environments_of
from modeldyno.app.places import Places
from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.host import place
from modeldyno.domain.images import Framework
from modeldyno.domain.job import StoppingRules
from modeldyno.domain.model import ModelSource
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import throughput_interval
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Instance, Tag
from modeldyno.settings import Settings

VERSION = "1.7.2"
KIND = InstanceType("local.one", 1.0, 1024)
NEAR = 0.08
_HOME = Path(".cache", "benchmarks")
_STARTUP_SECONDS = 120.0


class Forest:
    """The one deployment; made when the first run needs it."""

    def __init__(self) -> None:
        self._deployed: tuple[Instance, Placement, Path] | None = None
        self._name = ""

    async def run(self, number: int, stack: AsyncExitStack) -> Run:
        """One search."""
        if self._deployed is None:
            self._deployed = await self._deploy(stack)
            self._name = f"{os.getpid()} at {time.time():.0f}"
        instance, placement, bodies = self._deployed
        policy = SaturationSearch(StoppingRules())
        searched = await search(instance.url, policy, bodies=bodies, seed=number, cores=placement.generator_cores)
        if searched.measured.failure is not None or (death := instance.death()) is not None:
            raise RuntimeError(f"{searched.measured.failure or death}\n{instance.log_tail()}")
        interval = throughput_interval(searched.measured.windows)
        assert interval is not None
        return {
            "per_second": interval.value,
            "half_width": interval.relative_half_width,
            "users": searched.measured.users,
            "load_seconds": searched.load_seconds,
            "deployment": self._name,
        }

    async def _deploy(self, stack: AsyncExitStack) -> tuple[Instance, Placement, Path]:
        places = Places(_HOME.resolve())
        places.make()
        environments = environments_of(Settings(data_dir=str(places.root)), places)
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dyno-benchmark-")))
        await _train(await environments.python_for(Framework.SCIKIT_LEARN, VERSION), made)
        backend = ProcessBackend(made / "instances", environments.prepare)
        placement = place(KIND, backend.host(), ())
        assert placement is not None
        request = DeployRequest(
            tag=Tag("benchmark", str(os.getpid()), "forest", 1),
            spec=TrialSpec(0, "benchmark-forest", KIND),
            placement=placement,
            source=ModelSource(f"sagemaker-scikit-learn:{VERSION}", None),
            model_dir=made / "model",
            code_dir=None,
            environment={},
            log_path=made / "server.log",
            startup_seconds=_STARTUP_SECONDS,
        )
        return await stack.enter_async_context(backend.deploy(request)), placement, made / "payload"


async def _train(python: Path, out: Path) -> None:
    """The demonstration's model with its script, and its payload, under `out`."""
    out.chmod(0o711)  # model servers pass through it, as another user
    with as_file(files("modeldyno") / "data" / "demo") as given:
        process = await asyncio.create_subprocess_exec(str(python), "-I", str(given / "train.py"), str(out), stdout=2)
        if await process.wait():
            raise RuntimeError("the model could not be trained")
        (out / "model" / "code").mkdir()
        shutil.copy(given / "inference.py", out / "model" / "code" / "inference.py")


def near_median(runs: Sequence[Run]) -> list[float]:
    """How far each run is from the median of its deployment, as a share."""
    by_deployment: dict[str, list[float]] = {}
    for run in runs:
        by_deployment.setdefault(run["deployment"], []).append(run["per_second"])
    medians = {name: statistics.median(values) for name, values in by_deployment.items()}
    return [run["per_second"] / medians[run["deployment"]] - 1 for run in runs]


def repeats(runs: Sequence[Sequence[Run]]) -> dict[str, Any]:
    """How near the runs are to each other, and how long each took."""
    (every,) = runs
    apart = near_median(every)
    near = sum(abs(share) <= NEAR for share in apart)
    slowest = max(run["load_seconds"] for run in every)
    return {
        "runs": len(every),
        "deployments": len({run["deployment"] for run in every}),
        "per_second_median": statistics.median(run["per_second"] for run in every),
        "within_8_percent": near,
        "worst": max(map(abs, apart)),
        "load_seconds_median": statistics.median(run["load_seconds"] for run in every),
        "load_seconds_worst": slowest,
        "from_median": [round(share, 4) for share in apart],
        "reached": at_least(near, len(every), 19, 20) and slowest <= 30,
    }


BENCHMARK = Benchmark(
    subjects={"forest": Subject(Forest().run, 20)},
    figures={
        "forest_repeats": Figure(
            "within 8% of its own median in at least 19 of 20; load: at most 30 s each", ("forest",), repeats
        )
    },
)

if __name__ == "__main__":
    main("benchmarks.forest", __doc__, BENCHMARK)
