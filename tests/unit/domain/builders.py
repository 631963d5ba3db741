"""Values for tests: a job, a trial, a result."""

from __future__ import annotations

from typing import Any

from modeldyno.domain.catalog import InstanceType, PriceBasis
from modeldyno.domain.job import Job, JobSpec, JobStatus, JobType
from modeldyno.domain.model import ModelSource, PayloadSource
from modeldyno.domain.trial import Figures, Trial, TrialResult, TrialSpec, TrialStatus

SCIKIT = "SAGEMAKER-SCIKIT-LEARN"


def a_type(name: str, vcpus: float = 1, usd: float | None = 0.1, memory_mib: int = 1024, **more: Any) -> InstanceType:
    basis = PriceBasis.UNKNOWN if usd is None else PriceBasis.LISTED
    return InstanceType(name, vcpus, memory_mib, usd_per_hour=usd, price_basis=basis, **more)


def a_spec(job_type: JobType = JobType.DEFAULT, **more: Any) -> JobSpec:
    environment = more.pop("environment", {})
    image = more.pop("image", None)
    model = ModelSource(image, "s3://b/model.tar.gz", environment, SCIKIT if image is None else None, "1.5")
    return JobSpec(job_type, model, PayloadSource("s3://b/payload.tar.gz", "text/csv"), **more)


def a_job(spec: JobSpec | None = None, **more: Any) -> Job:
    fields = {"id": "j1", "region": "us-east-1", "name": "job", "arn": "arn", "status": JobStatus.IN_PROGRESS}
    return Job(**(fields | {"spec": spec or a_spec(), "document": {}, "created_at": 0.0, "modified_at": 0.0} | more))


def a_trial(index: int, kind: InstanceType, per_minute: float, latency_ms: float = 20.0, **more: Any) -> Trial:
    figures = Figures(per_minute, 95.0, latency_ms, {}, 2, 500, 0, 5.0, 1.0, 900, 0, 12.0, cpu_percent=80.0)
    result = TrialResult(figures, "flat", {}, 10.0, 20.0, {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"})
    fields = {"status": TrialStatus.COMPLETED, "result": result} | more
    return Trial(f"t{index}", "j1", TrialSpec(index, f"sm-epc-{index}", kind), **fields)
