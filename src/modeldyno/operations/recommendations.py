"""Inference recommendation jobs: create, describe, list, list steps, stop. The engine does the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modeldyno.domain.errors import Conflict, InvalidRequest, ResourceInUse, ResourceNotFound
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.names import JOB, arn_of, keep_end, parse_arn
from modeldyno.domain.recommend import performances, recommend
from modeldyno.domain.resource import Kind
from modeldyno.operations.context import Context
from modeldyno.operations.pagination import query, slice_page, write_token
from modeldyno.operations.results import FAILURE_CHARACTERS, performance_shape, recommendation_shape, step_shape
from modeldyno.operations.shapes import Shape, name, struct, text, without
from modeldyno.operations.tags import new_tags
from modeldyno.operations.translate import job_spec
from modeldyno.operations.unsupported import refuse_unsupported
from modeldyno.ports import LogLine


@dataclass(frozen=True, slots=True)
class BeyondTheWire:
    """What the wire cannot say of a Default job: `ranges`, values to try for each variable (none: Dyno chooses), and
    the `JobSpec` members of the same names."""

    ranges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    thorough: bool = False
    open_loop: bool = True
    run_off: bool = True


def create(context: Context, params: Shape, beyond: BeyondTheWire | None = None) -> Shape:
    """Store a PENDING job with everything that running it needs: later changes of its model do not reach it."""
    beyond = beyond or BeyondTheWire()
    refuse_unsupported("CreateInferenceRecommendationsJob", params, unenforced=context.accept_unenforced)
    tags = new_tags(params)
    job_name = name(params, "JobName")
    translation = job_spec(context, params)
    now = context.now()
    job = Job(
        id=context.entropy.token(16),
        region=context.region,
        name=job_name,
        arn=arn_of(JOB, context.region, context.account, job_name),
        status=JobStatus.PENDING,
        spec=replace(
            translation.spec,
            ranges=dict(beyond.ranges),
            thorough=beyond.thorough,
            open_loop=beyond.open_loop,
            run_off=beyond.run_off,
        ),
        document=without(params, "Tags"),
        created_at=now,
        modified_at=now,
    )
    try:
        context.store.add_job(job, tags)
    except ResourceInUse:
        raise ResourceInUse(f"Inference recommendations job {job_name} already exists: {job.arn}") from None
    if translation.notes:
        context.store.log(job.id, [LogLine(now, note) for note in translation.notes])
    return {"JobArn": job.arn}


def describe(context: Context, params: Shape) -> Shape:
    """The request as it was, where the job stands and, once it has ended, its ranked recommendations.

    Assumptions A-0006, A-0017.
    """
    job = find_job(context, name(params, "JobName"))
    trials = context.store.trials(job.id) if job.status.ended else ()
    rows, measured = recommend(job, trials), performances(job, trials)
    echoed = ("JobName", "JobDescription", "JobType", "RoleArn", "InputConfig", "StoppingConditions")
    return {
        **{member: job.document.get(member) for member in echoed},
        "JobArn": job.arn,
        "Status": str(job.status),
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
        "CompletionTime": job.completed_at,
        "FailureReason": _failure(job),
        "InferenceRecommendations": [recommendation_shape(row) for row in rows] or None,
        "EndpointPerformances": [performance_shape(row) for row in measured] or None,
    }


def list_jobs(context: Context, params: Shape) -> Shape:
    """Jobs of the region, newest first unless asked otherwise. Assumption A-0012."""
    operation = "ListInferenceRecommendationsJobs"
    refuse_unsupported(operation, params)
    equals = {
        "status": text(params, "StatusEquals"),
        "model_name": text(params, "ModelNameEquals") or None,
        "model_package_arn": _own_arn(context, text(params, "ModelPackageVersionArnEquals")),
    }
    page = context.store.find_jobs(query(context, operation, params, order="Descending", equals=equals))
    return {
        "InferenceRecommendationsJobs": [_summary(job) for job in page.items],
        "NextToken": write_token(context, operation, params, page.next),
    }


def list_steps(context: Context, params: Shape) -> Shape:
    """The job's trials in the order they are tried."""
    operation = "ListInferenceRecommendationsJobSteps"
    refuse_unsupported(operation, params)
    job = find_job(context, name(params, "JobName"))
    status = text(params, "Status")
    # What the filter leaves changes while trials go on, their order does not: pages go by place in the whole list.
    page, token = slice_page(
        context,
        operation,
        params,
        context.store.trials(job.id),
        keep=lambda trial: status is None or trial.status == status,
    )
    return {"Steps": [step_shape(job, trial) for trial in page], "NextToken": token}


def stop(context: Context, params: Shape) -> None:
    """Ask the job to end with the results so far. Assumption A-0030."""
    job_name = name(params, "JobName")
    try:
        context.store.request_stop(context.region, job_name, context.now())
    except ResourceNotFound:
        raise _not_found(context, job_name) from None
    except Conflict:
        status = find_job(context, name(params, "JobName")).status
        raise InvalidRequest(
            f"The request was rejected because the inference recommendations job {job_name} is in status {status}."
        ) from None


def find_job(context: Context, job_name: str) -> Job:
    """The job; refused as `ResourceNotFound` when there is none."""
    try:
        return context.store.job(context.region, job_name)
    except ResourceNotFound:
        raise _not_found(context, job_name) from None


def _not_found(context: Context, job_name: str) -> ResourceNotFound:
    arn = arn_of(JOB, context.region, context.account, job_name)
    return ResourceNotFound(f'Could not find inference recommendations job "{arn}".')


def _failure(job: Job) -> str | None:
    return keep_end(job.failure_reason, FAILURE_CHARACTERS) if job.failure_reason else None


def _summary(job: Job) -> Shape:
    config = struct(job.document, "InputConfig")
    return {
        "JobName": job.name,
        "JobDescription": text(job.document, "JobDescription") or "",
        "JobType": str(job.spec.job_type),
        "JobArn": job.arn,
        "Status": str(job.status),
        "CreationTime": job.created_at,
        "CompletionTime": job.completed_at,
        "RoleArn": job.document.get("RoleArn"),
        "LastModifiedTime": job.modified_at,
        "FailureReason": _failure(job),
        "ModelName": text(config, "ModelName"),
        "SamplePayloadUrl": job.spec.payload.url,
        "ModelPackageVersionArn": text(config, "ModelPackageVersionArn"),
    }


def _own_arn(context: Context, package_arn: str | None) -> str | None:
    """The ARN with our account in it, as jobs are stored; account numbers of callers are not checked."""
    arn = parse_arn(package_arn) if package_arn else None
    if arn is None or arn.region != context.region:
        return package_arn
    return arn_of(Kind.PACKAGE, context.region, context.account, arn.name)
