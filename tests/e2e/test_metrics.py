"""Metrics of a real endpoint and a real job, as CloudWatch's client reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from modeldyno.domain.latency import bucket_bounds_ns
from modeldyno.domain.metric import PER_INSTANCE, Minute, Values, minute_of
from modeldyno.store import open_store
from tests.e2e.hosting import Hosting
from tests.e2e.service import until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    service = Hosting(tmp_path_factory.mktemp("metrics"))
    service.answers("good").answers("slow", "--sleep-ms", "100").answers("errors", "--way", "errors")
    service.truth("truth:5ms", "--service-ms", "5")
    service.start()
    for name in ("good", "slow", "errors"):
        service.model(name)
    yield service
    service.end()
    assert service.left_behind() == []


@pytest.fixture
def cloudwatch(service: Hosting) -> Any:
    return boto3.client(
        "cloudwatch",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )


def points(cloudwatch: Any, metric: str, statistic: str, dimensions: dict[str, str], namespace: str) -> list[Any]:
    """Of the last hour, by minute."""
    now = time.time()
    asked = {"ExtendedStatistics" if statistic.startswith("p") else "Statistics": [statistic]}
    found = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=datetime.fromtimestamp(now - 3600, UTC),
        EndTime=datetime.fromtimestamp(now + 60, UTC),
        Period=60,
        **asked,
    )["Datapoints"]
    ordered = sorted(found, key=lambda point: point["Timestamp"])
    return [point.get("ExtendedStatistics", point)[statistic] for point in ordered]


def of_variant(
    cloudwatch: Any, endpoint: str, variant: str, metric: str, statistic: str, namespace: str = "AWS/SageMaker"
) -> list[Any]:
    return points(cloudwatch, metric, statistic, {"EndpointName": endpoint, "VariantName": variant}, namespace)


def ended(service: Hosting, variant: str) -> str:
    """How one request ended. The front may see a moment later than the caller that a variant is in service; such a
    request reaches no model."""

    def look() -> str | None:
        try:
            service.invoke("e", TargetVariant=variant)
        except ClientError as error:
            code = str(error.response["Error"]["Code"])
            return None if code == "ServiceUnavailable" else code
        return "answered"

    return str(until(look, 10))


def test_the_invocations_of_an_endpoint_come_back_as_metrics(service: Hosting, cloudwatch: Any) -> None:
    service.endpoint("e", "good", "slow", "errors")
    calls = {"good": 12, "slow": 4, "errors": 3}
    for variant, count in calls.items():
        ends = [ended(service, variant) for _ in range(count)]
        assert set(ends) == {"ModelError" if variant == "errors" else "answered"}

    def total(variant: str, metric: str = "Invocations") -> float:
        return sum(of_variant(cloudwatch, "e", variant, metric, "Sum"))

    until(lambda: total("errors") == 3, 20)
    assert {variant: total(variant) for variant in calls} == calls
    assert {variant: total(variant, "InvocationModelErrors") for variant in calls} == {
        "good": 0,
        "slow": 0,
        "errors": 3,
    }
    assert (total("errors", "Invocation5XXErrors"), total("errors", "Invocation4XXErrors")) == (3, 0)
    assert all(value > 100_000 for value in of_variant(cloudwatch, "e", "slow", "ModelLatency", "Minimum"))
    assert all(value < 100_000 for value in of_variant(cloudwatch, "e", "good", "ModelLatency", "p50"))
    assert sum(of_variant(cloudwatch, "e", "slow", "OverheadLatency", "SampleCount")) == 4
    listed = cloudwatch.list_metrics(MetricName="Invocations", RecentlyActive="PT3H")["Metrics"]
    assert {one["Dimensions"][1]["Value"] for one in listed} == set(calls)

    service.kill("front")  # what was written is there for the next one
    until(lambda: service.children().get("front") is not None, 30)
    until(lambda: total("good") == 12, 30)
    until(lambda: of_variant(cloudwatch, "e", "good", "CPUUtilization", "Average", "/aws/sagemaker/Endpoints"), 40)
    (disk, *_) = of_variant(cloudwatch, "e", "good", "DiskUtilization", "Maximum", "/aws/sagemaker/Endpoints")
    assert 0 < disk < 100

    service.gone("e")
    assert total("good") == 12


@pytest.mark.timeout(240)
def test_a_jobs_load_comes_back_as_metrics_of_its_endpoint(service: Hosting, cloudwatch: Any) -> None:
    service.submit("job", "truth:5ms", "local.half")
    job = service.ended("job")
    assert job["Status"] == "COMPLETED", job
    (row,) = job["InferenceRecommendations"]
    endpoint = row["EndpointConfiguration"]
    (trial,) = service.result("job")["trials"]
    sent = sum(sum(window["latency_counts"].values()) for window in trial["windows"])
    of_job = {"JobName": "job", "EndpointName": endpoint["EndpointName"]}
    namespace = "/aws/sagemaker/InferenceRecommendationsJobs"
    assert sum(points(cloudwatch, "ClientInvocations", "Sum", of_job, namespace)) == sent
    closed = [window for window in trial["windows"] if window["rate_per_minute"] is None]
    buckets = [int(bucket) for window in closed for bucket in window["latency_counts"]]
    least, greatest = ((low + high - 1) // 2 / 1e6 for low, high in map(bucket_bounds_ns, (min(buckets), max(buckets))))
    assert min(points(cloudwatch, "ClientLatency", "Minimum", of_job, namespace)) == least
    assert max(points(cloudwatch, "ClientLatency", "Maximum", of_job, namespace)) == greatest
    assert max(points(cloudwatch, "NumberOfUsers", "Maximum", of_job, namespace)) >= 1
    names = endpoint["EndpointName"], endpoint["VariantName"]
    assert sum(of_variant(cloudwatch, *names, "Invocations", "Sum")) == sent
    assert max(of_variant(cloudwatch, *names, "ModelLatency", "p100")) == pytest.approx(1_000 * greatest, rel=1e-12)


def test_a_variant_is_scaled_out_by_the_metrics_of_its_last_minutes(service: Hosting, cloudwatch: Any) -> None:
    service.endpoint("s", "good")
    scaling = boto3.client(
        "application-autoscaling",
        endpoint_url=service.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    of = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/s/variant/good",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    scaling.register_scalable_target(**of, MinCapacity=1, MaxCapacity=2)
    scaling.put_scaling_policy(
        **of,
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    )
    # The endpoint has been in service for a while, and under load, as a front would have told it: nobody need wait.
    values = Values()
    values.add(150 * PER_INSTANCE.steps)
    now = minute_of(time.time())
    loaded = {PER_INSTANCE.name: values}
    store = open_store(f"sqlite:///{service.data / 'dyno.sqlite'}", migrate=False, now=time.time())
    try:
        store.put_minutes([Minute("us-east-1", "s", "good", now - 60 * back, "test", loaded) for back in range(6)])
        store.change_endpoint("us-east-1", "s", lambda row: replace(row, modified_at=row.modified_at - 600))
    finally:
        store.close()

    def state() -> tuple[str, int, int]:
        endpoint = service.client.describe_endpoint(EndpointName="s")
        (variant,) = endpoint["ProductionVariants"]
        return endpoint["EndpointStatus"], variant["DesiredInstanceCount"], variant["CurrentInstanceCount"]

    until(lambda: state() == ("InService", 2, 2), 60)
    assert service.invoke("s")["ResponseMetadata"]["HTTPStatusCode"] == 200
    scaling.deregister_scalable_target(**of)
    service.gone("s")
