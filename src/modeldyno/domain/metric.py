"""Metrics as CloudWatch has them: what each is called, in which unit, and what its values in a stretch of time tell.

Values are kept as whole numbers of a metric's `steps`, each in the bucket of the histogram of `latency` that holds it:
so sums are exact, and the parts that several processes saw merge without a loss.

**Source:** SageMaker developer guide, *Amazon SageMaker AI metrics in Amazon CloudWatch*: namespaces, names, units,
dimensions, and that an error metric is 0 or 1 for each request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.latency import LatencyHistogram, bucket_of

MINUTE_SECONDS = 60
"""The resolution of every metric. **Source:** the same, "Metrics are available at a 1-minute frequency"."""
_INSTANCES = 720_720  # the least common multiple of 1 to 16: so the share of each of so many instances is whole
_PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,10})?)")


class Namespace(StrEnum):
    """Where a metric is found."""

    JOBS = "/aws/sagemaker/InferenceRecommendationsJobs"
    INVOCATIONS = "AWS/SageMaker"
    INSTANCES = "/aws/sagemaker/Endpoints"


class Unit(StrEnum):
    """The wire's spelling. **Source:** botocore enum StandardUnit."""

    NONE = "None"
    MICROSECONDS = "Microseconds"
    MILLISECONDS = "Milliseconds"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `steps`: how many of them are one unit."""

    namespace: Namespace
    name: str
    unit: Unit
    steps: int


INVOCATIONS = Metric(Namespace.INVOCATIONS, "Invocations", Unit.NONE, 1)
PER_INSTANCE = Metric(Namespace.INVOCATIONS, "InvocationsPerInstance", Unit.NONE, _INSTANCES)
ERRORS_4XX = Metric(Namespace.INVOCATIONS, "Invocation4XXErrors", Unit.NONE, 1)
ERRORS_5XX = Metric(Namespace.INVOCATIONS, "Invocation5XXErrors", Unit.NONE, 1)
MODEL_ERRORS = Metric(Namespace.INVOCATIONS, "InvocationModelErrors", Unit.NONE, 1)
MODEL_LATENCY = Metric(Namespace.INVOCATIONS, "ModelLatency", Unit.MICROSECONDS, 1_000)
OVERHEAD_LATENCY = Metric(Namespace.INVOCATIONS, "OverheadLatency", Unit.MICROSECONDS, 1_000)
CPU = Metric(Namespace.INSTANCES, "CPUUtilization", Unit.PERCENT, 1_000)
MEMORY = Metric(Namespace.INSTANCES, "MemoryUtilization", Unit.PERCENT, 1_000)
DISK = Metric(Namespace.INSTANCES, "DiskUtilization", Unit.PERCENT, 1_000)
CLIENT_INVOCATIONS = Metric(Namespace.JOBS, "ClientInvocations", Unit.NONE, 1)
CLIENT_ERRORS = Metric(Namespace.JOBS, "ClientInvocationErrors", Unit.NONE, 1)
CLIENT_LATENCY = Metric(Namespace.JOBS, "ClientLatency", Unit.MILLISECONDS, 1_000_000)
USERS = Metric(Namespace.JOBS, "NumberOfUsers", Unit.NONE, 1)

METRICS: dict[tuple[str, str], Metric] = {
    (metric.namespace, metric.name): metric
    for metric in (
        INVOCATIONS,
        PER_INSTANCE,
        ERRORS_4XX,
        ERRORS_5XX,
        MODEL_ERRORS,
        MODEL_LATENCY,
        OVERHEAD_LATENCY,
        CPU,
        MEMORY,
        DISK,
        CLIENT_INVOCATIONS,
        CLIENT_ERRORS,
        CLIENT_LATENCY,
        USERS,
    )
}
"""By namespace and name. Those of the first two namespaces have the dimensions EndpointName and VariantName."""


class Values:
    """Values of one metric, in its steps: how many, their sum, the least, the greatest, and how many in each bucket."""

    __slots__ = ("count", "counts", "greatest", "least", "total")

    def __init__(
        self, count: int = 0, total: int = 0, least: int = 0, greatest: int = 0, counts: dict[int, int] | None = None
    ) -> None:
        self.count = count
        self.total = total
        self.least = least
        self.greatest = greatest
        self.counts = {} if counts is None else counts

    def add(self, value: int, times: int = 1) -> None:
        """Take in a value; negative ones do not occur."""
        if not self.count:
            self.least = self.greatest = value
        elif value < self.least:
            self.least = value
        elif value > self.greatest:
            self.greatest = value
        self.count += times
        self.total += value * times
        bucket = bucket_of(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + times

    def merge(self, other: Values) -> None:
        """Take in all that another holds."""
        if not other.count:
            return
        self.least = min(self.least, other.least) if self.count else other.least
        self.greatest = max(self.greatest, other.greatest)
        self.count += other.count
        self.total += other.total
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count

    def copy(self) -> Values:
        """One that does not change with this."""
        return Values(self.count, self.total, self.least, self.greatest, dict(self.counts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Values({self.count}, {self.total}, {self.least}, {self.greatest}, {self.counts})"


def values_of(values: Iterable[int]) -> Values:
    """These values."""
    found = Values()
    for value in values:
        found.add(value)
    return found


@dataclass(frozen=True, slots=True)
class Minute:
    """What one process has seen of one variant in one minute so far; a later one of the same `source` replaces it.

    at: when the minute began, whole seconds since the Unix epoch. source: unique to one life of one process, and what
    it looks at. values: by the metric's name.
    """

    region: str
    endpoint: str
    variant: str
    at: int
    source: str
    values: dict[str, Values]


@dataclass(frozen=True, slots=True)
class Series:
    """That there is a metric of a variant. `last_at`: when the last minute with values of it began."""

    endpoint: str
    variant: str
    metric: str
    last_at: int


def minute_of(at: float) -> int:
    """When the minute began that a time is in."""
    return int(at // MINUTE_SECONDS) * MINUTE_SECONDS


# --- statistics ---

STATISTICS = ("SampleCount", "Average", "Sum", "Minimum", "Maximum")
"""**Source:** botocore enum Statistic."""


def percentile_of(statistic: str) -> float | None:
    """The percent of ``p99.9``; None where it is no percentile of 0 to 100. **Source:** botocore,
    GetMetricStatisticsInput."""
    found = _PERCENTILE.fullmatch(statistic)
    percent = float(found[1]) if found else 101.0
    return percent if percent <= 100.0 else None


def figure(metric: Metric, values: Values, statistic: str) -> float:
    """A statistic of values, at least one, in the metric's unit. A percentile is within 0.4%, as its histogram is.

    `statistic`: one of `STATISTICS`, or a percentile.
    """
    match statistic:
        case "SampleCount":
            return float(values.count)
        case "Sum":
            return values.total / metric.steps
        case "Average":
            return values.total / values.count / metric.steps
        case "Minimum":
            return values.least / metric.steps
        case "Maximum":
            return values.greatest / metric.steps
    percent = percentile_of(statistic)
    assert percent is not None, statistic
    middle = LatencyHistogram(values.counts).quantile_ns(percent / 100.0)
    assert middle is not None
    return min(max(middle, values.least), values.greatest) / metric.steps
