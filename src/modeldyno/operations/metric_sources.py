"""Where the values of a metric come from: the windows of jobs' trials, and the minutes of endpoints.

A trial's endpoint has one of AWS's names (``sm-epc-JOB-...``) and the variant AllTraffic: what reads the metrics
of a recommendation's endpoint finds them, as on AWS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modeldyno.domain.errors import ResourceNotFound
from modeldyno.domain.job import Job
from modeldyno.domain.measurement import Window
from modeldyno.domain.metric import METRICS, Metric, Namespace, Values, minute_of
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.resource import Query
from modeldyno.domain.trial import Trial
from modeldyno.domain.trial_metrics import TRIAL_METRICS, trial_values
from modeldyno.operations.context import Context
from modeldyno.operations.results import VARIANT

JOB_NAME, ENDPOINT_NAME, VARIANT_NAME = "JobName", "EndpointName", "VariantName"
_OF_ENDPOINT = frozenset({ENDPOINT_NAME, VARIANT_NAME})
# Assumption A-0140: the dimensions of a job's metrics: of the whole job, and of each endpoint.
_OF_JOB = (frozenset({JOB_NAME, ENDPOINT_NAME}), frozenset({JOB_NAME}))
_OF_TRIAL = "sm-epc-"
_PAGE = 100

Dimensions = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """Whole seconds since the Unix epoch: from `begin` to before `end`, in periods; the first begins at `begin`."""

    begin: int
    end: int
    period: int

    def holds(self, at: int) -> bool:
        """Whether a minute that began then is in it."""
        return self.begin <= at < self.end

    def period_of(self, at: int) -> int:
        """When the period began that a time is in."""
        return at - (at - self.begin) % self.period


@dataclass(frozen=True, slots=True)
class Found:
    """A metric that is there. `last_at`: when the last minute with values of it began; of a job, when it was changed
    last."""

    metric: Metric
    dimensions: dict[str, str]
    last_at: int


class MetricSources:
    """What one call reads. The windows of a trial are read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._windows: dict[str, tuple[Window, ...]] = {}

    def values(self, metric: Metric, dimensions: Dimensions, span: Span) -> Iterator[tuple[int, Values]]:
        """By the time at which each period began, in order; a period without values is not there, and nor is what does
        not exist."""
        names = frozenset(dimensions)
        if metric.namespace is Namespace.JOBS:
            yield from self._of_job(metric, dimensions, span) if names in _OF_JOB else ()
        elif names == _OF_ENDPOINT:
            endpoint, variant = dimensions[ENDPOINT_NAME], dimensions[VARIANT_NAME]
            if variant == VARIANT and endpoint.startswith(_OF_TRIAL) and (trials := list(self._trials_of(endpoint))):
                yield from self._of_trials(metric, trials, span)
                return
            key = self._context.region, endpoint, variant, metric.name
            yield from self._store.metric_values(*key, span.begin, span.end, span.period)

    def every(self, since: float) -> Iterator[Found]:
        """Every metric of the region with values since that time: of endpoints first, then of jobs by name."""
        kept = {metric.name: metric for metric in METRICS.values() if metric.namespace is not Namespace.JOBS}
        for one in self._store.metric_series(self._context.region):
            if one.metric in kept and one.last_at >= since:
                dimensions = {ENDPOINT_NAME: one.endpoint, VARIANT_NAME: one.variant}
                yield Found(kept[one.metric], dimensions, one.last_at)
        for job in self._jobs(None, since):
            yield from self._every_of(job)

    def _every_of(self, job: Job) -> Iterator[Found]:
        last_at = minute_of(job.modified_at)
        trials = [trial for trial in self._store.trials(job.id) if trial.attempt]
        for trial in trials:
            name = trial.spec.endpoint_name
            for metric in TRIAL_METRICS:
                own = {JOB_NAME: job.name} if metric.namespace is Namespace.JOBS else {VARIANT_NAME: VARIANT}
                yield Found(metric, {ENDPOINT_NAME: name, **own}, last_at)
        for metric in TRIAL_METRICS if trials else ():
            if metric.namespace is Namespace.JOBS:
                yield Found(metric, {JOB_NAME: job.name}, last_at)

    def _of_job(self, metric: Metric, dimensions: Dimensions, span: Span) -> list[tuple[int, Values]]:
        try:
            job = self._store.job(self._context.region, dimensions[JOB_NAME])
        except ResourceNotFound:
            return []
        endpoint = dimensions.get(ENDPOINT_NAME)
        trials = [one for one in self._store.trials(job.id) if endpoint in (None, one.spec.endpoint_name)]
        return self._of_trials(metric, trials, span)

    def _of_trials(self, metric: Metric, trials: Sequence[Trial], span: Span) -> list[tuple[int, Values]]:
        found: dict[int, Values] = {}
        for trial in trials:
            mebibytes = trial.spec.instance_type.memory_mib
            limit = None if mebibytes is None else mebibytes * 1024**2
            for at, values in trial_values(metric, self._windows_of(trial), limit).items():
                if span.holds(at):
                    found.setdefault(span.period_of(at), Values()).merge(values)
        return sorted(found.items(), key=lambda item: item[0])

    def _windows_of(self, trial: Trial) -> tuple[Window, ...]:
        if trial.id not in self._windows:
            self._windows[trial.id] = self._store.windows(trial.id)
        return self._windows[trial.id]

    def _trials_of(self, endpoint: str) -> Iterator[Trial]:
        """The trial of that endpoint; the endpoint's name has the beginning of its job's."""
        part = endpoint.removeprefix(_OF_TRIAL).rpartition("-")[0].rpartition("-")[0]
        for job in self._jobs(part):
            number = endpoint.rpartition("-")[2]
            if number.isascii() and number.isdigit() and endpoint == endpoint_name(job.name, job.id, int(number)):
                yield from (one for one in self._store.trials(job.id) if one.spec.endpoint_name == endpoint)

    def _jobs(self, part: str | None, since: float | None = None) -> Iterator[Job]:
        """Those with `part` in their name, and changed after `since`, by name."""
        asked = Query(self._context.region, part, modified_after=since, sort_by="name", descending=False, limit=_PAGE)
        after = None
        while True:
            page = self._store.find_jobs(replace(asked, after=after))
            yield from page.items
            after = page.next
            if after is None:
                return
