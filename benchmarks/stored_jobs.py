"""Ended jobs with measured trials, put into a data directory through the store's tables, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert, make_url

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.trial import Figures, Placement, TrialResult, TrialSpec, TrialStatus
from modeldyno.settings import Settings
from modeldyno.store.codec import job_values, json_text
from modeldyno.store.database import make_engine
from modeldyno.store.tables import jobs, trials

REGION = "us-east-1"
TYPES = ("ml.c5.large", "ml.c5.xlarge", "ml.m5.large", "ml.m5.xlarge")
_ROLE = "arn:aws:iam::123456789012:role/dyno"
_IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def name_of(number: int) -> str:
    """The name of the n-th job, from 0."""
    return f"benchmark-{number:05d}"


def store_jobs(data_dir: Path, count: int) -> None:
    """Make a data directory with so many ended jobs of the region, each with four measured trials."""
    dyno = open_dyno(Settings(data_dir=str(data_dir)))
    try:
        pattern = _created(dyno)
        made = [_job(pattern, number) for number in range(count)]
        rows = [row for job in made for row in _trials(dyno, job)]
        engine = make_engine(make_url(dyno.places.database_url))
    finally:
        dyno.close()
    with engine.begin() as connection:
        connection.execute(insert(jobs), [job_values(job) for job in made])
        connection.execute(insert(trials), rows)
    engine.dispose()


def _created(dyno: Dyno) -> Job:
    """A job as the API makes it, taken out again."""
    dyno.call(
        "CreateModel",
        {
            "ModelName": "iris",
            "ExecutionRoleArn": _ROLE,
            "PrimaryContainer": {"Image": _IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz"},
        },
    )
    config = {
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "Framework": "SAGEMAKER-SCIKIT-LEARN",
        "FrameworkVersion": "1.2-1",
        "PayloadConfig": {"SamplePayloadUrl": "s3://bucket/payload.tar.gz", "SupportedContentTypes": ["text/csv"]},
        "SupportedInstanceTypes": list(TYPES),
    }
    dyno.call(
        "CreateInferenceRecommendationsJob",
        {
            "JobName": "pattern",
            "JobDescription": "An ended job with four measured configurations.",
            "JobType": "Default",
            "RoleArn": _ROLE,
            "InputConfig": {"ModelName": "iris", "ContainerConfig": config, "JobDurationInSeconds": 7200},
        },
    )
    job = dyno.store.job(REGION, "pattern")
    dyno.store.plan_job(job.id, (), (), job.created_at)
    dyno.store.finish_job(job.id, JobStatus.STOPPED, job.created_at)
    dyno.store.remove_job(REGION, "pattern")
    return job


def _job(pattern: Job, number: int) -> Job:
    at = round(time.time() - 86_400 + number, 3)
    name = name_of(number)
    return replace(
        pattern,
        id=f"{pattern.id}{number}",
        name=name,
        arn=pattern.arn.replace("pattern", name),
        status=JobStatus.COMPLETED,
        document={**pattern.document, "JobName": name},
        created_at=at,
        started_at=at + 1,
        modified_at=at + 600,
        completed_at=at + 600,
    )


def _trials(dyno: Dyno, job: Job) -> Iterator[dict[str, Any]]:
    for index, kind in enumerate(TYPES):
        workers = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(index + 1)}
        spec = TrialSpec(
            index, endpoint_name(job.name, job.id, index), dyno.catalogue[kind], workers, workers, index + 1
        )
        started_at = job.created_at + 100 * index
        yield {
            "id": f"{job.id}-{index}",
            "job_id": job.id,
            "trial_index": index,
            "status": TrialStatus.COMPLETED.value,
            "attempt": 1,
            "spec": json_text(spec),
            "placement": json_text(Placement((0, 1), 2**32)),
            "result": json_text(_result(index, started_at)),
            "started_at": started_at,
            "ended_at": started_at + 90,
            "log_tail": "",
        }


def _result(index: int, started_at: float) -> TrialResult:
    latencies = {"p50": 3.2 + index, "p90": 4.9 + index, "p95": 5.6 + index, "p99": 8.1 + index}
    figures = Figures(
        capacity_per_minute=18_000.5 / (index + 1),
        percentile=95.0,
        latency_ms=5.6 + index,
        latencies_ms=latencies,
        users=8,
        requests=12_000,
        failed=0,
        measured_seconds=40.0,
        warmup_seconds=5.0,
        total_requests=25_000,
        total_failed=0,
        total_seconds=85.0,
        cpu_percent=171.3,
        memory_percent=12.5,
        memory_peak_bytes=268_435_456,
        generator_cpu_percent=22.0,
    )
    reason = "Throughput did not grow over three levels of users."
    effective = {"OMP_NUM_THREADS": "1", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "60"}
    return TrialResult(figures, reason, {}, started_at + 5, started_at + 85, effective, "scikit-learn 1.2.2")
