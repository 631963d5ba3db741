"""CloudWatch: metrics of jobs and endpoints, by each protocol that a client may choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.loaders import Loader

from modeldyno.domain.job import JobStatus
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.metric import Minute, Values, minute_of, values_of
from modeldyno.domain.trial import TrialStatus
from tests.conformance.conftest import Engine, Front

AT = 1_700_000_040  # a whole minute
PROTOCOLS = ["smithy-rpc-v2-cbor", "json", "query"]
JOBS = "/aws/sagemaker/InferenceRecommendationsJobs"


class OneProtocol(Loader):
    """botocore's models, of which CloudWatch's knows one protocol: as in the releases that chose it."""

    def __init__(self, protocol: str) -> None:
        super().__init__()
        self._protocol = protocol

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        model = super().load_service_model(service_name, type_name, api_version)
        if (service_name, type_name) != ("cloudwatch", "service-2"):
            return model
        metadata = model["metadata"] | {"protocol": self._protocol, "protocols": [self._protocol]}
        if self._protocol == "query":
            del metadata["awsQueryCompatible"]
        return {**model, "metadata": metadata}


@pytest.fixture(params=PROTOCOLS)
def cloudwatch(front: Front, region: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    session = botocore.session.Session()
    session.register_component("data_loader", OneProtocol(request.param))
    client = session.create_client(
        "cloudwatch",
        region_name=region,
        endpoint_url=front.url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    spoken = []
    client.meta.events.register("before-send.cloudwatch.*", lambda request, **_: spoken.append(request.headers))
    yield client
    client.close()
    sent = {
        "smithy-rpc-v2-cbor": b"application/cbor",
        "json": b"application/x-amz-json-1.0",
        "query": b"application/x-www-form-urlencoded; charset=utf-8",
    }
    assert spoken
    assert all(headers["Content-Type"] == sent[request.param].decode() for headers in map(_texts, spoken))


def _texts(headers: Any) -> dict[str, str]:
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()}


@pytest.fixture
def keep(front: Front, region: str) -> Callable[..., None]:
    """Values of an endpoint's metrics in one minute, as a front or a worker tells them."""

    def told(at: int = AT, source: str = "front-1", **values: Values) -> None:
        front.dyno.store.put_minutes([Minute(region, "e", "main", at, source, values)])

    return told


def of_variant(namespace: str = "AWS/SageMaker", endpoint: str = "e", variant: str = "main") -> dict[str, Any]:
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
    return {"Namespace": namespace, "Dimensions": dimensions}


def span(begin: float = AT, seconds: float = 600, period: int = 60) -> dict[str, Any]:
    return {"StartTime": _time(begin), "EndTime": _time(begin + seconds), "Period": period}


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# --- GetMetricStatistics ---


def test_the_statistics_of_an_endpoints_minutes(cloudwatch: Any, keep: Callable[..., None]) -> None:
    keep(ModelLatency=values_of([1_000_000, 3_000_000]))
    keep(source="front-2", ModelLatency=values_of([8_000_000]))
    keep(AT + 60, ModelLatency=values_of([5_000_000]))
    every = ["Average", "Sum", "Minimum", "Maximum", "SampleCount"]
    answer = cloudwatch.get_metric_statistics(MetricName="ModelLatency", Statistics=every, **of_variant(), **span())
    assert answer["Label"] == "ModelLatency"
    first, second = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    assert first == {
        "Timestamp": _time(AT),
        "Unit": "Microseconds",
        "Average": 4000.0,
        "Sum": 12000.0,
        "Minimum": 1000.0,
        "Maximum": 8000.0,
        "SampleCount": 3.0,
    }
    assert (second["Timestamp"], second["Sum"]) == (_time(AT + 60), 5000.0)


def test_percentiles_are_of_all_values_of_a_period(cloudwatch: Any, keep: Callable[..., None]) -> None:
    keep(ModelLatency=values_of([1_000_000] * 98 + [20_000_000]))
    keep(AT + 60, ModelLatency=values_of([40_000_000]))
    asked = ["p50", "p99", "p99.5", "p100"]
    answer = cloudwatch.get_metric_statistics(
        MetricName="ModelLatency", ExtendedStatistics=asked, **of_variant(), **span(period=600)
    )
    (point,) = answer["Datapoints"]
    found = point["ExtendedStatistics"]
    assert set(found) == set(asked)
    assert found["p50"] == pytest.approx(1000.0, rel=0.004)
    assert found["p99"] == pytest.approx(20_000.0, rel=0.004)
    assert found["p99.5"] == found["p100"] == 40_000.0


def test_errors_are_zeros_and_ones(cloudwatch: Any, keep: Callable[..., None]) -> None:
    keep(Invocation5XXErrors=values_of([0, 0, 0, 1]), Invocations=values_of([1] * 4))
    errors = {"MetricName": "Invocation5XXErrors", "Statistics": ["Sum", "Average"]}
    (point,) = cloudwatch.get_metric_statistics(**errors, **of_variant(), **span())["Datapoints"]
    assert (point["Sum"], point["Average"], point["Unit"]) == (1.0, 0.25, "None")


def test_cpu_is_summed_over_cores_in_percent(cloudwatch: Any, keep: Callable[..., None]) -> None:
    keep(CPUUtilization=values_of([187_500, 12_500]))
    asked = {"MetricName": "CPUUtilization", "Statistics": ["Maximum", "Average"], "Unit": "Percent"}
    answer = cloudwatch.get_metric_statistics(**asked, **of_variant("/aws/sagemaker/Endpoints"), **span())
    (point,) = answer["Datapoints"]
    assert (point["Maximum"], point["Average"]) == (187.5, 100.0)


@pytest.mark.parametrize(
    "other",
    [
        {"MetricName": "OverheadLatency"},
        {"MetricName": "Nothing"},
        {"Namespace": "AWS/EC2"},
        {"Unit": "Milliseconds"},
        {"Dimensions": [{"Name": "EndpointName", "Value": "e"}]},
        {"Dimensions": of_variant(endpoint="other")["Dimensions"]},
        {"StartTime": _time(AT + 60)},
        {"EndTime": _time(AT), "StartTime": _time(AT - 60)},
    ],
)
def test_where_there_is_no_data_there_are_no_datapoints(
    cloudwatch: Any, keep: Callable[..., None], other: dict[str, Any]
) -> None:
    keep(ModelLatency=values_of([1]))
    asked = {"MetricName": "ModelLatency", "Statistics": ["Sum"], **of_variant(), **span()}
    assert len(cloudwatch.get_metric_statistics(**asked)["Datapoints"]) == 1
    assert cloudwatch.get_metric_statistics(**asked | other)["Datapoints"] == []


def test_a_start_within_a_minute_is_rounded_down_to_it(cloudwatch: Any, keep: Callable[..., None]) -> None:
    keep(Invocations=values_of([1]))
    asked = {"MetricName": "Invocations", "Statistics": ["Sum"], **of_variant()}
    (point,) = cloudwatch.get_metric_statistics(**asked, **span(AT + 59.5, period=300))["Datapoints"]
    assert point["Timestamp"] == _time(AT)
    (point,) = cloudwatch.get_metric_statistics(**asked, **span(AT, period=30))["Datapoints"]
    assert point["Timestamp"] == _time(AT)


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ({"Period": 90}, "InvalidParameterValue", "Period 90 must be a multiple of 60"),
        ({"Statistics": ["Mean"]}, "InvalidParameterValue", "Mean"),
        ({"EndTime": _time(AT)}, "InvalidParameterCombination", "StartTime must be less than"),
        ({"EndTime": _time(AT + 60 * 1441)}, "InvalidParameterCombination", "limit of 1440"),
        ({"ExtendedStatistics": ["p99"]}, "InvalidParameterCombination", "Exactly one of"),
    ],
)
def test_what_breaks_a_rule_is_refused(
    cloudwatch: Any, refused: Callable[..., str], wrong: dict[str, Any], code: str, words: str
) -> None:
    asked = {"MetricName": "Invocations", "Statistics": ["Sum"], **of_variant(), **span()}
    assert words in refused(code, cloudwatch.get_metric_statistics, **asked | wrong)


def test_a_statistic_that_is_not_there_is_refused_by_name(cloudwatch: Any, refused: Callable[..., str]) -> None:
    asked = {"MetricName": "Invocations", "ExtendedStatistics": ["tm99"], **of_variant(), **span()}
    assert "'tm99' is not supported" in refused("InvalidParameterValue", cloudwatch.get_metric_statistics, **asked)


# --- GetMetricData ---


def query(name: str, statistic: str = "Sum", period: int = 60, **more: Any) -> dict[str, Any]:
    metric = {"MetricName": name, **of_variant()}
    return {"Id": name.lower(), "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic}, **more}


def test_several_metrics_in_one_call(cloudwatch: Any, keep: Callable[..., None]) -> None:
    for minute in range(3):
        keep(AT + 60 * minute, Invocations=values_of([1] * (minute + 1)), ModelLatency=values_of([7_000]))
    queries = [query("Invocations"), query("ModelLatency", "p99", 600, Label="p99"), query("OverheadLatency")]
    hidden = {**query("Invocations"), "Id": "hidden", "ReturnData": False}
    times = {"StartTime": _time(AT), "EndTime": _time(AT + 600)}
    answer = cloudwatch.get_metric_data(MetricDataQueries=[*queries, hidden], **times)
    requests, latency, nothing = answer["MetricDataResults"]
    assert (requests["Id"], requests["Label"], requests["StatusCode"]) == ("invocations", "Invocations", "Complete")
    assert requests["Timestamps"] == [_time(AT + 120), _time(AT + 60), _time(AT)]
    assert requests["Values"] == [3.0, 2.0, 1.0]
    assert (latency["Label"], latency["Values"]) == ("p99", [7.0])
    assert (nothing["Timestamps"], nothing["Values"]) == ([], [])


def test_the_data_come_in_pages(cloudwatch: Any, keep: Callable[..., None]) -> None:
    for minute in range(5):
        keep(AT + 60 * minute, Invocations=values_of([1] * (minute + 1)), ModelLatency=values_of([1_000]))
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query("Invocations"), query("ModelLatency")],
        StartTime=_time(AT),
        EndTime=_time(AT + 600),
        ScanBy="TimestampAscending",
        MaxDatapoints=4,
    )
    found: dict[str, list[float]] = {}
    statuses = []
    for page in pages:
        assert sum(len(one["Values"]) for one in page["MetricDataResults"]) <= 4
        statuses.append([one["StatusCode"] for one in page["MetricDataResults"]])
        for one in page["MetricDataResults"]:
            found.setdefault(one["Id"], []).extend(one["Values"])
    assert found == {"invocations": [1.0, 2.0, 3.0, 4.0, 5.0], "modellatency": [1.0] * 5}
    assert statuses == [["PartialData"] * 2, ["Complete", "PartialData"], ["Complete"] * 2]


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        ([{"Id": "e", "Expression": "m1 / 2"}], "Expression is not supported: there is no metric math"),
        ([query("Invocations", "tm90")], "'tm90' is not supported"),
        ([query("Invocations"), query("Invocations")], "must differ"),
        ([query("Invocations", Label="${MAX}")], "Dynamic labels"),
        ([{**query("Invocations"), "Id": "Upper"}], "lower-case letter"),
        ([], "0 members"),
    ],
)
def test_queries_that_are_not_there_are_refused_by_name(
    cloudwatch: Any, refused: Callable[..., str], queries: list[dict[str, Any]], words: str
) -> None:
    times = {"StartTime": _time(AT), "EndTime": _time(AT + 600)}
    assert words in refused("InvalidParameterValue", cloudwatch.get_metric_data, MetricDataQueries=queries, **times)


# --- ListMetrics ---


def test_metrics_are_listed_by_namespace_name_and_dimensions(
    cloudwatch: Any, front: Front, keep: Callable[..., None]
) -> None:
    now = minute_of(front.dyno.clock.now())
    one = values_of([1])
    keep(now, Invocations=one, ModelLatency=one)
    keep(now - 4 * 3600, CPUUtilization=one)
    keep(now - 15 * 86_400, MemoryUtilization=one)

    def names(**filters: Any) -> list[str]:
        return [metric["MetricName"] for metric in cloudwatch.list_metrics(**filters)["Metrics"]]

    assert names() == ["CPUUtilization", "Invocations", "ModelLatency"]
    assert names(RecentlyActive="PT3H") == ["Invocations", "ModelLatency"]
    assert names(Namespace="/aws/sagemaker/Endpoints") == ["CPUUtilization"]
    assert names(MetricName="ModelLatency") == ["ModelLatency"]
    assert names(Dimensions=[{"Name": "EndpointName"}, {"Name": "VariantName", "Value": "main"}]) == names()
    assert names(Dimensions=[{"Name": "VariantName", "Value": "other"}]) == []
    (metric,) = cloudwatch.list_metrics(MetricName="Invocations")["Metrics"]
    assert metric == {"MetricName": "Invocations", **of_variant()}


def test_metrics_are_listed_in_pages(cloudwatch: Any, front: Front, region: str) -> None:
    now = minute_of(front.dyno.clock.now())
    variants = [f"v{number:03}" for number in range(501)]
    one = {"Invocations": values_of([1])}
    front.dyno.store.put_minutes([Minute(region, "e", variant, now, "f", one) for variant in variants])
    pages = list(cloudwatch.get_paginator("list_metrics").paginate())
    assert [len(page["Metrics"]) for page in pages] == [500, 1]
    assert [metric["Dimensions"][1]["Value"] for page in pages for metric in page["Metrics"]] == variants


# --- jobs ---


@pytest.fixture
def endpoint(sagemaker: Any, engine: Engine, job_request: dict[str, Any]) -> str:
    """The endpoint of a job's only trial, which was under load over two minutes; the last window in an open loop."""
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["local.2cpu"])
    trial = engine.claim()
    gibibyte = 1024**3
    counts = LatencyHistogram.of([2_000_000] * 10).counts
    for sequence, at in enumerate((AT + 58.0, AT + 59.0, AT + 60.0, AT + 61.0)):
        window = Window(
            sequence,
            at,
            1.0,
            users=sequence + 1 if sequence < 3 else 0,
            latency_counts=counts,
            failed={"http_400": 1, "http_503": 2, "timeout": 3} if sequence == 2 else {},
            cpu_seconds=1.5,
            memory_bytes=gibibyte,
            rate_per_second=None if sequence < 3 else 10.0,
        )
        assert engine.dyno.store.add_window(trial.id, trial.attempt, window)
    assert engine.dyno.store.finish_trial(trial.id, trial.attempt, TrialStatus.COMPLETED, AT + 70.0)
    engine.end(JobStatus.COMPLETED)
    return trial.spec.endpoint_name


def test_a_jobs_metrics_are_what_its_load_saw(cloudwatch: Any, endpoint: str) -> None:
    def points(metric: str, statistic: str, **only: str) -> list[tuple[datetime, float, str]]:
        dimensions = [{"Name": name, "Value": value} for name, value in {"JobName": "job", **only}.items()]
        asked = {"Statistics": [statistic]} if not statistic.startswith("p") else {"ExtendedStatistics": [statistic]}
        answer = cloudwatch.get_metric_statistics(
            Namespace=JOBS, MetricName=metric, Dimensions=dimensions, **asked, **span()
        )
        return [
            (
                point["Timestamp"],
                point.get(statistic, point.get("ExtendedStatistics", {}).get(statistic)),
                point["Unit"],
            )
            for point in sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
        ]

    first, second = _time(AT), _time(AT + 60)
    assert points("ClientInvocations", "Sum") == [(first, 20.0, "None"), (second, 26.0, "None")]
    assert points("ClientInvocations", "Sum", EndpointName=endpoint) == points("ClientInvocations", "Sum")
    assert points("ClientInvocations", "Sum", EndpointName="other") == []
    assert points("ClientInvocationErrors", "Sum") == [(first, 0.0, "None"), (second, 6.0, "None")]
    assert points("NumberOfUsers", "Maximum") == [(first, 2.0, "None"), (second, 3.0, "None")]
    (_, latency, unit), (_, again, _) = points("ClientLatency", "p99")
    assert latency == again == pytest.approx(2.0, rel=0.004)
    assert unit == "Milliseconds"
    assert [count for _, count, _ in points("ClientLatency", "SampleCount")] == [20.0, 10.0]


# What AWS's notebooks plot of each recommendation's endpoint. Source: amazon-sagemaker-examples,
# sagemaker-inference-recommender/tensorflow-cloudwatch/cloudwatch.py.
PLOTTED = {
    "Invocations": ("AWS/SageMaker", "None", "Sum", [20.0, 26.0]),
    "InvocationsPerInstance": ("AWS/SageMaker", "None", "Sum", [20.0, 26.0]),
    "Invocation4XXErrors": ("AWS/SageMaker", "None", "Sum", [0.0, 1.0]),
    "Invocation5XXErrors": ("AWS/SageMaker", "None", "Sum", [0.0, 2.0]),
    "ModelLatency": ("AWS/SageMaker", "Microseconds", "p99", [2000.0, 2000.0]),
    "OverheadLatency": ("AWS/SageMaker", "Microseconds", "p99", []),
    "CPUUtilization": ("/aws/sagemaker/Endpoints", "Percent", "Maximum", [150.0, 150.0]),
    "MemoryUtilization": ("/aws/sagemaker/Endpoints", "Percent", "Maximum", [50.0, 50.0]),
    "DiskUtilization": ("/aws/sagemaker/Endpoints", "Percent", "Maximum", []),
}


@pytest.mark.parametrize("metric", PLOTTED)
def test_what_the_notebooks_plot_of_a_recommendations_endpoint(cloudwatch: Any, endpoint: str, metric: str) -> None:
    namespace, unit, statistic, expected = PLOTTED[metric]
    asked = {"Statistics": [statistic]} if statistic != "p99" else {"ExtendedStatistics": [statistic]}
    answer = cloudwatch.get_metric_statistics(
        MetricName=metric, Unit=unit, **asked, **of_variant(namespace, endpoint, "AllTraffic"), **span()
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    values = [point.get("ExtendedStatistics", point)[statistic] for point in points]
    assert values == pytest.approx(expected, rel=0.004)


def test_a_jobs_metrics_are_listed(cloudwatch: Any, endpoint: str) -> None:
    listed = cloudwatch.list_metrics(Namespace=JOBS)["Metrics"]
    own = [{one["Name"]: one["Value"] for one in metric["Dimensions"]} for metric in listed]
    assert {metric["MetricName"] for metric in listed} == {
        "ClientInvocations",
        "ClientInvocationErrors",
        "ClientLatency",
        "NumberOfUsers",
    }
    assert {"JobName": "job"} in own
    assert {"JobName": "job", "EndpointName": endpoint} in own
    listed = cloudwatch.list_metrics(MetricName="ModelLatency")["Metrics"]
    assert listed == [{"MetricName": "ModelLatency", **of_variant(endpoint=endpoint, variant="AllTraffic")}]


def test_an_operation_that_is_not_there_is_refused_by_name(cloudwatch: Any) -> None:
    with pytest.raises(cloudwatch.exceptions.ClientError, match="PutMetricData"):
        cloudwatch.put_metric_data(Namespace="mine", MetricData=[{"MetricName": "m", "Value": 1.0}])
