"""What CloudWatch Logs calls groups and streams: the stories of jobs and endpoints, and what model servers wrote.

- ``/aws/sagemaker/InferenceRecommendationsJobs``: ``JOB/execution``, ``JOB/Endpoint/ENDPOINT`` of each trial, and
  ``JOB/CompilationJob/NAME``
- ``/aws/sagemaker/Endpoints/ENDPOINT``: ``deployment``, and ``VARIANT/INDEX`` of each server

**Source:** SageMaker developer guide, *Log groups and streams that SageMaker logs*; the streams of a job:
*Inference Recommender, troubleshooting*. ``deployment`` is Dyno's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modeldyno.domain.errors import ResourceNotFound
from modeldyno.domain.job import Job
from modeldyno.domain.names import compilation_name
from modeldyno.domain.resource import Kind, Query, Resource
from modeldyno.operations.context import Context

JOBS_GROUP = "/aws/sagemaker/InferenceRecommendationsJobs"
ENDPOINT_GROUPS = "/aws/sagemaker/Endpoints/"
_EXECUTION, _ENDPOINT, _DEPLOYMENT, _COMPILATION = "execution", "Endpoint", "deployment", "CompilationJob"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One event. `at`: seconds since the Unix epoch; of what a server wrote, when its log last grew."""

    at: float
    message: str


def groups(context: Context) -> list[str]:
    """The names of all groups, sorted."""
    endpoints = (f"{ENDPOINT_GROUPS}{one.name}" for one in context.store.endpoints() if one.region == context.region)
    return [*sorted(endpoints), JOBS_GROUP]


def streams(context: Context, group: str, prefix: str) -> Iterator[str]:
    """The names of a group's streams that begin with `prefix`, in order.

    Raises:
        ResourceNotFound: there is no such group.
    """
    if group == JOBS_GROUP:
        for job in _jobs(context, prefix):
            yield from (name for name in _streams_of(context, job) if name.startswith(prefix))
        return
    yield from (name for name in sorted(_endpoint_streams(context, group)) if name.startswith(prefix))


def lines(context: Context, group: str, stream: str) -> list[Line]:
    """The events of a stream, in order.

    Raises:
        ResourceNotFound: there is no such group or stream.
    """
    found = _job_lines(context, stream) if group == JOBS_GROUP else _endpoint_lines(context, group, stream)
    if found is None:
        raise ResourceNotFound("The specified log stream does not exist.")
    return found


def _jobs(context: Context, prefix: str) -> Iterator[Job]:
    """Jobs whose streams may begin with `prefix`, in order of their names."""
    named, slash, _ = prefix.partition("/")
    if slash:
        job = _job(context, named)
        yield from () if job is None else (job,)
        return
    after = None
    while True:
        asked = Query(context.region, named or None, sort_by="name", descending=False, after=after, limit=_PAGE)
        page = context.store.find_jobs(asked)
        yield from (job for job in page.items if job.name.startswith(named))
        after = page.next
        if after is None:
            return


def _job(context: Context, job_name: str) -> Job | None:
    try:
        return context.store.job(context.region, job_name)
    except ResourceNotFound:
        return None


def _streams_of(context: Context, job: Job) -> list[str]:
    names = (f"{job.name}/{_ENDPOINT}/{trial.spec.endpoint_name}" for trial in context.store.trials(job.id))
    compilation = _compilation(context, job)
    compiled = [] if compilation is None else [f"{job.name}/{_COMPILATION}/{compilation.name}"]
    return [*compiled, *sorted(names), f"{job.name}/{_EXECUTION}"]


def _compilation(context: Context, job: Job) -> Resource | None:
    try:
        return context.store.resource(Kind.COMPILATION, job.region, compilation_name(job.name, job.id))
    except ResourceNotFound:
        return None


def _job_lines(context: Context, stream: str) -> list[Line] | None:
    job_name, _, rest = stream.partition("/")
    job = _job(context, job_name)
    if job is None:
        return None
    if rest == _EXECUTION:
        story = context.store.log_lines(job.id)
        return [Line(line.at, line.message) for line in story if line.trial_index is None]
    kind, _, endpoint = rest.partition("/")
    compilation = _compilation(context, job) if kind == _COMPILATION else None
    if compilation is not None and compilation.name == endpoint:
        return [Line(event.at, event.message) for event in context.store.story(compilation.arn)]
    trials = context.store.trials(job.id) if kind == _ENDPOINT else ()
    for trial in trials:
        if trial.spec.endpoint_name == endpoint:
            story = context.store.log_lines(job.id, trial.spec.index)
            return [Line(line.at, line.message) for line in story]
    return None


def _endpoint_streams(context: Context, group: str) -> dict[str, str | None]:
    """The streams of an endpoint's group, with the id of the server that each is of."""
    endpoint = group.removeprefix(ENDPOINT_GROUPS)
    try:
        found = context.store.endpoint(context.region, endpoint)
    except ResourceNotFound:
        raise ResourceNotFound("The specified log group does not exist.") from None
    servers = (one for one in context.store.servers() if one.endpoint_id == found.id)
    return {_DEPLOYMENT: None, **{f"{one.variant.name}/{one.index}": one.id for one in servers}}


def _endpoint_lines(context: Context, group: str, stream: str) -> list[Line] | None:
    known = _endpoint_streams(context, group)
    if stream not in known:
        return None
    server_id = known[stream]
    if server_id is None:
        endpoint = context.store.endpoint(context.region, group.removeprefix(ENDPOINT_GROUPS))
        return [Line(event.at, event.message) for event in context.store.story(endpoint.arn)]
    server = next((one for one in context.store.servers() if one.id == server_id), None)
    return None if server is None else [Line(at, text) for at, text in context.server_output(server)]
