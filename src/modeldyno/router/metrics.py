"""CloudWatch's metrics of an endpoint, for Prometheus: the same names and dimensions; and by the minute (`meter`).

**Source:** SageMaker developer guide, *Monitor with CloudWatch*: namespaces AWS/SageMaker and
/aws/sagemaker/Endpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from modeldyno.domain.endpoint import Server
from modeldyno.domain.pair import Side
from modeldyno.router.invoke import Exchange
from modeldyno.router.meter import Meter
from modeldyno.router.request import Invocation
from modeldyno.router.table import Target

_DIMENSIONS = ("EndpointName", "VariantName")
_MICROSECONDS = tuple(float(value * 10**power) for power in range(2, 8) for value in (1, 2, 5))

_Children = tuple[Counter, Histogram, Histogram, Counter]
_WORDS = {"ModelSetupTime": "Microseconds that the cold start of a serverless variant's servers took"}
_UTILIZATION = {"cpu": "CPUUtilization", "memory": "MemoryUtilization"}


class Metrics:
    """What this front has seen of each variant. `meter`: is told of each request, too."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made tells nobody anything
        self._registry = CollectorRegistry()
        made: dict[str, Counter] = {}
        for name, words in (
            ("Invocations", "Requests sent to a variant"),
            ("InvocationsPerInstance", "Requests sent to a variant over its instances in service"),
            ("Invocation4XXErrors", "Requests that the model answered with 4xx"),
            ("Invocation5XXErrors", "Requests that the model answered with 5xx"),
            ("InvocationModelErrors", "Requests that got no 2xx from the model: errors, timeouts, broken connections"),
        ):
            made[name] = Counter(name, words, _DIMENSIONS, registry=self._registry)
        self._counters = made
        self._model = Histogram(
            "ModelLatency",
            "Microseconds until the model's last byte",
            _DIMENSIONS,
            buckets=_MICROSECONDS,
            registry=self._registry,
        )
        self._overhead = Histogram(
            "OverheadLatency",
            "Microseconds that Dyno added",
            _DIMENSIONS,
            buckets=_MICROSECONDS,
            registry=self._registry,
        )
        self._children: dict[tuple[str, str], _Children] = {}

    def answered(self, target: Target, exchange: Exchange) -> None:
        """Production has answered."""
        model_us = exchange.model_ns / 1e3
        children = self._count(target.route.name, exchange.variant, exchange.status, model_us)
        instances = max(1, sum(len(choice.servers) for choice in target.choices if choice.variant == exchange.variant))
        children[3].inc(1.0 / instances)
        overhead_ns = max(0, exchange.total_ns - exchange.model_ns) if exchange.total_ns else None
        if overhead_ns is not None:
            children[2].observe(overhead_ns / 1e3)
        if self._meter is not None:
            key = target.route.region, target.route.name, exchange.variant
            self._meter.count(key, exchange.status, exchange.model_ns, overhead_ns, instances)

    def mirrored(self, target: Target, side: Side) -> None:
        """The shadow has answered."""
        children = self._count(target.route.name, side.variant, side.status, side.latency_ns / 1e3)
        instances = max(1, len(target.route.mirror.servers)) if target.route.mirror is not None else 1
        children[3].inc(1.0 / instances)
        if self._meter is not None:
            key = target.route.region, target.route.name, side.variant
            self._meter.count(key, side.status, side.latency_ns, None, instances)

    def refused(self, target: Target, invocation: Invocation, status: int) -> None:
        """No model was reached: AWS counts nothing for a variant then."""

    def _count(self, endpoint: str, variant: str, status: int, model_us: float) -> _Children:
        children = self._children.get((endpoint, variant))
        if children is None:
            children = self._of(endpoint, variant)
        children[0].inc()
        children[1].observe(model_us)
        if not 200 <= status < 300:
            self._failed(endpoint, variant, status)
        return children

    def _of(self, endpoint: str, variant: str) -> _Children:
        labels = {"EndpointName": endpoint, "VariantName": variant}
        for counter in self._counters.values():
            counter.labels(**labels)
        children = (
            self._counters["Invocations"].labels(**labels),
            self._model.labels(**labels),
            self._overhead.labels(**labels),
            self._counters["InvocationsPerInstance"].labels(**labels),
        )
        self._children[endpoint, variant] = children
        return children

    def _failed(self, endpoint: str, variant: str, status: int) -> None:
        self._counters["InvocationModelErrors"].labels(endpoint, variant).inc()
        if 400 <= status < 500:
            self._counters["Invocation4XXErrors"].labels(endpoint, variant).inc()
        elif status >= 500:
            self._counters["Invocation5XXErrors"].labels(endpoint, variant).inc()

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
