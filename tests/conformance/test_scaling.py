"""Autoscaling recommendations from a measured job, as boto3 sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modeldyno.domain.job import JobStatus


@pytest.fixture
def measured(sagemaker: Any, job_request: dict[str, Any], engine: Any) -> dict[str, Any]:
    """A job that measured 6000 a minute on two cores of which 187.5% were used."""
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["local.2cpu"])
    engine.succeed(6000.0, 20.5)
    engine.end(JobStatus.COMPLETED)
    (row,) = sagemaker.describe_inference_recommendations_job(JobName="job")["InferenceRecommendations"]
    return dict(row)


def ask(sagemaker: Any, **more: Any) -> Any:
    answer = sagemaker.get_scaling_configuration_recommendation(InferenceRecommendationsJobName="job", **more)
    del answer["ResponseMetadata"]
    return answer


def test_a_benchmark_is_counted_back_to_the_wanted_cpu_use(sagemaker: Any, measured: dict[str, Any]) -> None:
    objective = {"MinInvocationsPerMinute": 100, "MaxInvocationsPerMinute": 10000}
    answer = ask(sagemaker, RecommendationId=measured["RecommendationId"], ScalingPolicyObjective=objective)
    # 93.75% of each core at 6000 a minute: 50% is 3200
    assert answer == {
        "InferenceRecommendationsJobName": "job",
        "RecommendationId": measured["RecommendationId"],
        "TargetCpuUtilizationPerCore": 50,
        "ScalingPolicyObjective": objective,
        "Metric": {"InvocationsPerInstance": 3200, "ModelLatency": 21},
        "DynamicScalingConfiguration": {
            "MinCapacity": 1,
            "MaxCapacity": 4,
            "ScaleInCooldown": 300,
            "ScaleOutCooldown": 300,
            "ScalingPolicies": [
                {
                    "TargetTracking": {
                        "MetricSpecification": {
                            "Predefined": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
                        },
                        "TargetValue": 3200.0,
                    }
                },
                {
                    "TargetTracking": {
                        "MetricSpecification": {
                            "Customized": {
                                "MetricName": "CPUUtilization",
                                "Namespace": "/aws/sagemaker/Endpoints",
                                "Statistic": "Average",
                            }
                        },
                        "TargetValue": 100.0,
                    }
                },
            ],
        },
    }


def test_a_higher_target_carries_more_but_never_more_than_was_measured(
    sagemaker: Any, measured: dict[str, Any]
) -> None:
    endpoint = measured["EndpointConfiguration"]["EndpointName"]
    found = [
        ask(sagemaker, EndpointName=endpoint, TargetCpuUtilizationPerCore=target)["Metric"]["InvocationsPerInstance"]
        for target in (25, 50, 75, 100)
    ]
    assert found == [1600, 3200, 4800, 6000]


def test_without_an_objective_no_highest_capacity_is_made_up(sagemaker: Any, measured: dict[str, Any]) -> None:
    configuration = ask(sagemaker, RecommendationId=measured["RecommendationId"])["DynamicScalingConfiguration"]
    assert configuration["MinCapacity"] == 1
    assert "MaxCapacity" not in configuration


def test_what_cannot_be_answered_is_refused_by_name(
    sagemaker: Any, measured: dict[str, Any], refused: Callable[..., str]
) -> None:
    call = sagemaker.get_scaling_configuration_recommendation
    mine = {"InferenceRecommendationsJobName": "job"}
    known = {"RecommendationId": measured["RecommendationId"]}
    assert "exactly one of" in refused("ValidationException", call, **mine)
    assert "exactly one of" in refused("ValidationException", call, **mine, **known, EndpointName="x")
    told = refused("ResourceNotFound", call, **{**mine, "InferenceRecommendationsJobName": "none"}, **known)
    assert "inference-recommendations-job/none" in told
    assert '"job/00000000"' in refused("ResourceNotFound", call, **mine, RecommendationId="job/00000000")
    assert '"other"' in refused("ResourceNotFound", call, **mine, EndpointName="other")
    objective = {"MinInvocationsPerMinute": 5, "MaxInvocationsPerMinute": 4}
    told = refused("ValidationException", call, **mine, **known, ScalingPolicyObjective=objective)
    assert "MinInvocationsPerMinute is 5, more than the MaxInvocationsPerMinute of 4" in told
    told = refused("ValidationException", call, **mine, **known, TargetCpuUtilizationPerCore=101)
    assert "'targetCpuUtilizationPerCore'" in told
    negative = {"MaxInvocationsPerMinute": -1}
    assert "at least 0" in refused("ValidationException", call, **mine, **known, ScalingPolicyObjective=negative)


def test_a_job_that_goes_on_has_no_results_yet(
    sagemaker: Any, job_request: dict[str, Any], refused: Callable[..., str]
) -> None:
    sagemaker.create_inference_recommendations_job(**job_request)
    call = sagemaker.get_scaling_configuration_recommendation
    told = refused("ValidationException", call, InferenceRecommendationsJobName="job", RecommendationId="job/00000000")
    assert "is PENDING: it has no results yet" in told
