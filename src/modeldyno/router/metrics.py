"""CloudWatch's metrics of an endpoint, for Prometheus: the same names and dimensions; and by the minute (`meter`).

**Source:** SageMaker developer guide, *Monitor with CloudWatch*: namespaces AWS/SageMaker and
/aws/sagemaker/Endpoints.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from modeldyno.domain.endpoint import Server
from modeldyno.domain.pair import Side
from modeldyno.router.invoke import Exchange
from modeldyno.router.meter import Meter
from modeldyno.router.request import Invocation
from modeldyno.router.table import Target

_DIMENSIONS = ("EndpointName", "VariantName")
_MICROSECONDS = tuple(float(value * 10**power) for power in range(2, 8) for value in (1, 2, 5))
_BOUNDS_NS = tuple(int(value * 1e3) for value in _MICROSECONDS)
_LABELS = tuple(map(floatToGoString, (*_MICROSECONDS, float("inf"))))

_COUNTERS = {
    "Invocations": ("Requests sent to a variant", "requests"),
    "InvocationsPerInstance": ("Requests sent to a variant over its instances in service", "shares"),
    "Invocation4XXErrors": ("Requests that the model answered with 4xx", "errors_4xx"),
    "Invocation5XXErrors": ("Requests that the model answered with 5xx", "errors_5xx"),
    "InvocationModelErrors": (
        "Requests that got no 2xx from the model: errors, timeouts, broken connections",
        "errors",
    ),
}
_HISTOGRAMS = {
    "ModelLatency": ("Microseconds until the model's last byte", "model"),
    "OverheadLatency": ("Microseconds that Dyno added", "overhead"),
}
_WORDS = {"ModelSetupTime": "Microseconds that the cold start of a serverless variant's servers took"}
_UTILIZATION = {"cpu": "CPUUtilization", "memory": "MemoryUtilization"}


class _Durations:
    """How many were in each of the buckets, and their sum in nanoseconds."""

    __slots__ = ("buckets", "sum_ns")

    def __init__(self) -> None:
        self.buckets = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0

    def add(self, duration_ns: int) -> None:
        self.buckets[bisect_left(_BOUNDS_NS, duration_ns)] += 1
        self.sum_ns += duration_ns


class _Seen:
    """Of one variant, since the front began. A request is counted in the time that a lock would take, so there is none:
    one thread counts, and one that reads meanwhile finds the request in some of the figures."""

    __slots__ = ("errors", "errors_4xx", "errors_5xx", "model", "overhead", "requests", "shares")

    def __init__(self) -> None:
        self.requests = 0
        self.shares = 0.0
        self.errors = 0
        self.errors_4xx = 0
        self.errors_5xx = 0
        self.model = _Durations()
        self.overhead = _Durations()

    def add(self, status: int, model_ns: int, instances: int) -> None:
        self.requests += 1
        self.shares += 1.0 / instances
        self.model.add(model_ns)
        if not 200 <= status < 300:
            self.errors += 1
            self.errors_4xx += 400 <= status < 500
            self.errors_5xx += status >= 500


class Metrics(Collector):
    """What this front has seen of each variant. `meter`: is told of each request, too. Used on the event loop, but for
    `text`."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def answered(self, target: Target, exchange: Exchange) -> None:
        """Production has answered."""
        route, variant, model_ns = target.route, exchange.variant, exchange.model_ns
        instances = 0
        for choice in target.choices:
            if choice.variant == variant:
                instances += len(choice.servers)
        instances = instances or 1
        seen = self._of(route.name, variant)
        seen.add(exchange.status, model_ns, instances)
        overhead_ns = max(0, exchange.total_ns - model_ns) if exchange.total_ns else None
        if overhead_ns is not None:
            seen.overhead.add(overhead_ns)
        if self._meter is not None:
            self._meter.count((route.region, route.name, variant), exchange.status, model_ns, overhead_ns, instances)

    def mirrored(self, target: Target, side: Side) -> None:
        """The shadow has answered."""
        route = target.route
        instances = max(1, len(route.mirror.servers)) if route.mirror is not None else 1
        self._of(route.name, side.variant).add(side.status, side.latency_ns, instances)
        if self._meter is not None:
            self._meter.count((route.region, route.name, side.variant), side.status, side.latency_ns, None, instances)

    def refused(self, target: Target, invocation: Invocation, status: int) -> None:
        """No model was reached: AWS counts nothing for a variant then."""

    def _of(self, endpoint: str, variant: str) -> _Seen:
        seen = self._seen.get((endpoint, variant))
        if seen is None:
            seen = self._seen[endpoint, variant] = _Seen()
        return seen

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """For Prometheus' registry."""
        every = list(self._seen.items())
        for name, (words, field) in _COUNTERS.items():
            counter = CounterMetricFamily(name, words, labels=_DIMENSIONS)
            for key, seen in every:
                counter.add_metric(key, getattr(seen, field))
            yield counter
        for name, (words, field) in _HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, words, labels=_DIMENSIONS)
            for key, seen in every:
                durations: _Durations = getattr(seen, field)
                buckets = list(zip(_LABELS, accumulate(durations.buckets), strict=True))
                histogram.add_metric(key, buckets, durations.sum_ns / 1e3)
            yield histogram

    def text(self, servers: Sequence[Server], disk_percent: float) -> bytes:
        """In Prometheus' format, with what the servers use. CPU in percent of one core, as CloudWatch has it."""
        return bytes(generate_latest(self._registry)) + bytes(generate_latest(_Utilization(servers, disk_percent)))


class _Utilization(CollectorRegistry):
    """Gauges of what each variant uses, as the worker saw it last: the mean of its instances."""

    def __init__(self, servers: Sequence[Server], disk_percent: float) -> None:
        super().__init__()
        seen: dict[tuple[str, str, str], list[float]] = {}
        for server in servers:
            variant = server.endpoint_name, server.variant.name
            for key, name in _UTILIZATION.items():
                if key in server.usage:
                    seen.setdefault((name, *variant), []).append(server.usage[key])
            seen["DiskUtilization", *variant] = [disk_percent]
            if server.variant.serverless is not None and server.setup_seconds is not None:
                seen.setdefault(("ModelSetupTime", *variant), []).append(server.setup_seconds * 1e6)
        gauges = {
            name: Gauge(name, _WORDS.get(name, "Percent"), _DIMENSIONS, registry=self)
            for name in sorted({key[0] for key in seen})
        }
        for (name, endpoint, variant_name), values in seen.items():
            gauges[name].labels(endpoint, variant_name).set(sum(values) / len(values))
