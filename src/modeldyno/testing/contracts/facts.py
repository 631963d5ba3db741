"""Examples of jobs, resources, hosts and windows, for the suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modeldyno.domain.catalog import Accelerator, InstanceType, PriceBasis
from modeldyno.domain.errors import HostCannot
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.job import Candidate, Job, JobSpec, JobStatus, JobType, LatencyThreshold, StoppingRules
from modeldyno.domain.measurement import Window
from modeldyno.domain.model import ModelSource, PayloadSource
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.run_off import RunOff, Standing, Turn
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import Figures, Flag, Placement, Trial, TrialResult, TrialSpec
from modeldyno.ports import Place

REGION = "us-east-1"
HOST = Host("test", (0, 1, 2, 3), 8192, "x86_64", Cgroup.V2, root=False, notes=("made up",))
BIG = "ml.too.big"
ROOMY = Placement((1,), 1024**3, 0.5, (0,))


def a_resource(name: str = "m", kind: Kind = Kind.MODEL, at: float = 1.0, **changes: object) -> Resource:
    """A resource of that name, made at that time."""
    arn = f"arn:aws:sagemaker:{REGION}:000000000000:{kind}/{name}"
    made = Resource(kind, REGION, name, arn, "Completed", at, at, {"Name": name, "Deep": {"List": [1, "é", None]}})
    return replace(made, **changes)  # type: ignore[arg-type]


def a_job(name: str = "j", at: float = 1.0, **changes: object) -> Job:
    """A PENDING job with every part of a specification set."""
    spec = JobSpec(
        job_type=JobType.ADVANCED,
        model=ModelSource("image:1", "s3://b/m.tar.gz", {"A": "1"}, "XGBOOST", "1.7", model_name=f"model-of-{name}"),
        payload=PayloadSource("s3://b/p.tar.gz", "text/csv"),
        rules=StoppingRules(300, LatencyThreshold(95.0, 100), stop_when_flat=False),
        supported_instance_types=("ml.m5.large",),
        candidates=(Candidate("ml.m5.large", {"OMP_NUM_THREADS": ("1", "2")}),),
        traffic=Traffic((Phase(1, 2, 120),)),
        max_tests=4,
        max_parallel=1,
        duration_seconds=None,
        seed=7,
    )
    spec_changes = {key: changes.pop(key) for key in ("max_parallel", "duration_seconds", "model") if key in changes}
    made = Job(
        id=f"id-{name}",
        region=REGION,
        name=name,
        arn=f"arn:aws:sagemaker:{REGION}:000000000000:inference-recommendations-job/{name}",
        status=JobStatus.PENDING,
        spec=replace(spec, **spec_changes),  # type: ignore[arg-type]
        document={"JobName": name, "InputConfig": {"JobDurationInSeconds": 300}},
        created_at=at,
        modified_at=at,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def some_specs(count: int, instance_type: str = "ml.m5.large") -> list[TrialSpec]:
    """So many configurations."""
    kind = InstanceType(
        instance_type, 2.0, 8192, ("x86_64",), (Accelerator("gpu", "T4", 1),), 0.115, PriceBasis.LISTED, "a list"
    )
    return [
        TrialSpec(index, f"endpoint-{index}", kind, {"A": str(index)}, {"W": "2"}, workers=2) for index in range(count)
    ]


def a_window(sequence: int) -> Window:
    """One second with a few answers and a failure."""
    return Window(sequence, 100.0 + sequence, 1.001, 3, {900: 5, 1200: 1}, {"timeout": 1}, 99, 0.1, 0.01, 0.7, 4096)


def a_result() -> TrialResult:
    """How a trial ended well."""
    figures = Figures(612.5, 95.0, 12.25, {"p50": 9.0}, 4, 600, 1, 58.8, 5.0, 700, 2, 70.0, {"timeout": 1}, 97.5, 12.0)
    return TrialResult(figures, "flat", {Flag.FEW_REQUESTS: "only 600"}, 10.0, 80.0, {"WORKERS": "2"}, "made up")


def a_run_off() -> RunOff:
    """How two leaders came out."""
    best, other = Standing(1, 1, 600.0), Standing(0, 1, 590.0, 1.02, 0.97, 1.07)
    return RunOff((best, other), (Turn(0, 0, 1.5, 1.0, 10), Turn(1, 0, 3.0, 1.0, 11)), 4.5, True, "told in words")


def anywhere(trial: Trial, busy: Sequence[Placement]) -> Placement | None:
    """Room for everything, but for what is too big."""
    if trial.spec.instance_type.name == BIG:
        raise HostCannot("This host cannot be ml.too.big: it is too big.", log_tail="said\0so")
    return ROOMY


def at_most(count: int) -> Place:
    """Room for so many at once."""
    return lambda trial, busy: anywhere(trial, busy) if len(busy) < count else None
