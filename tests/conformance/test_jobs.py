"""Inference recommendation jobs, by boto3."""

from __future__ import annotations

import datetime

import pytest

from modeldyno.domain.job import JobStatus

UTC = datetime.UTC


def test_a_new_job_is_described_as_it_was_asked_for(sagemaker, job_request, region):
    job_request |= {
        "JobDescription": "a try",
        "StoppingConditions": {"ModelLatencyThresholds": [{"Percentile": "P95", "ValueInMilliseconds": 100}]},
        "Tags": [{"Key": "team", "Value": "a"}],
    }
    arn = sagemaker.create_inference_recommendations_job(**job_request)["JobArn"]
    assert arn == f"arn:aws:sagemaker:{region}:000000000000:inference-recommendations-job/job"
    answer = sagemaker.describe_inference_recommendations_job(JobName="job")
    for member in ("JobName", "JobDescription", "JobType", "RoleArn", "InputConfig", "StoppingConditions"):
        assert answer[member] == job_request[member]
    assert (answer["JobArn"], answer["Status"]) == (arn, "PENDING")
    assert answer["CreationTime"] == answer["LastModifiedTime"]
    for absent in ("CompletionTime", "FailureReason", "InferenceRecommendations", "EndpointPerformances"):
        assert absent not in answer
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == job_request["Tags"]


def test_a_completed_job_ranks_what_was_measured_by_cost_per_inference(sagemaker, job_request, engine):
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large", "local.2cpu", "ml.c5.xlarge"])
    engine.succeed(600.5, 12.2)
    engine.succeed(1200.0, 8.0)
    engine.fail("Burstable instance type ml.t2.medium is not allowed.")
    in_progress = sagemaker.describe_inference_recommendations_job(JobName="job")
    assert in_progress["Status"] == "IN_PROGRESS"
    assert "InferenceRecommendations" not in in_progress
    engine.end(JobStatus.COMPLETED)
    answer = sagemaker.describe_inference_recommendations_job(JobName="job")
    assert answer["Status"] == "COMPLETED"
    assert answer["CompletionTime"] >= answer["CreationTime"]
    best, second = answer["InferenceRecommendations"]
    assert best["EndpointConfiguration"]["InstanceType"] == "local.2cpu"
    assert second["EndpointConfiguration"]["InstanceType"] == "ml.c5.large"
    assert best["RecommendationId"].startswith("job/")
    assert len(best["RecommendationId"]) == len("job/") + 8
    assert second["Metrics"]["MaxInvocations"] == 600
    assert second["Metrics"]["ModelLatency"] == 13
    assert second["Metrics"]["CpuUtilization"] == 187.5
    assert second["Metrics"]["MemoryUtilization"] == 12.25
    assert best["Metrics"]["CostPerHour"] == pytest.approx(0.1, rel=1e-6)
    assert best["Metrics"]["CostPerInference"] == pytest.approx(0.1 / (1200 * 60), rel=1e-6)
    assert best["EndpointConfiguration"]["EndpointName"].startswith("sm-epc-job-")
    assert best["EndpointConfiguration"]["VariantName"] == "AllTraffic"
    assert best["EndpointConfiguration"]["InitialInstanceCount"] == 1
    assert {"Key": "SAGEMAKER_MODEL_SERVER_WORKERS", "ValueType": "string", "Value": "2"} in best["ModelConfiguration"][
        "EnvironmentParameters"
    ]
    assert best["InvocationStartTime"] == datetime.datetime.fromtimestamp(1_700_000_000, UTC)
    assert best["InvocationEndTime"] == datetime.datetime.fromtimestamp(1_700_000_060, UTC)


def test_recommendations_keep_their_ids(sagemaker, job_request, engine):
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large"])
    engine.succeed(600, 12)
    engine.end(JobStatus.COMPLETED)
    first, second = (
        sagemaker.describe_inference_recommendations_job(JobName="job")["InferenceRecommendations"] for _ in range(2)
    )
    assert first == second


def test_steps_show_every_trial_with_its_figures_or_its_reason(sagemaker, job_request, engine):
    sagemaker.create_inference_recommendations_job(**job_request)
    assert sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"] == []
    engine.plan(["ml.c5.large", "local.2cpu", "ml.c5.xlarge", "ml.m5.large"])
    engine.succeed(600, 12)
    engine.fail("it hung\n" + "x" * 3000 + "the end")
    engine.claim()
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job", StepType="BENCHMARK")["Steps"]
    assert [step["Status"] for step in steps] == ["COMPLETED", "FAILED", "IN_PROGRESS", "PENDING"]
    assert {step["JobName"] for step in steps} == {"job"}
    good, bad, running, _ = (step["InferenceBenchmark"] for step in steps)
    assert good["Metrics"]["MaxInvocations"] == 600
    assert good["InvocationEndTime"] > good["InvocationStartTime"]
    assert len(bad["FailureReason"]) == 1024
    assert bad["FailureReason"].endswith("the end")
    assert "Metrics" not in bad
    assert running["EndpointConfiguration"]["InstanceType"] == "ml.c5.xlarge"
    assert running["ModelConfiguration"]["EnvironmentParameters"] == [
        {"Key": "OMP_NUM_THREADS", "ValueType": "string", "Value": "1"}
    ]
    failed = sagemaker.list_inference_recommendations_job_steps(JobName="job", Status="FAILED")["Steps"]
    assert [step["InferenceBenchmark"]["EndpointConfiguration"]["InstanceType"] for step in failed] == ["local.2cpu"]


def test_an_unpriced_type_has_no_cost_and_ranks_last(sagemaker, job_request, engine):
    from modeldyno.domain.catalog import InstanceType

    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan([InstanceType("local.free", 1.0), "ml.c5.large"])
    engine.succeed(90_000, 1)
    engine.succeed(60, 100)
    engine.end(JobStatus.COMPLETED)
    rows = sagemaker.describe_inference_recommendations_job(JobName="job")["InferenceRecommendations"]
    assert [row["EndpointConfiguration"]["InstanceType"] for row in rows] == ["ml.c5.large", "local.free"]
    assert "CostPerHour" not in rows[1]["Metrics"]
    assert "CostPerInference" not in rows[1]["Metrics"]


def test_pages_of_steps_hold_every_step_once(sagemaker, job_request, engine):
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large"] * 7)
    pages = sagemaker.get_paginator("list_inference_recommendations_job_steps").paginate(
        JobName="job", PaginationConfig={"PageSize": 3}
    )
    sizes, names = [], []
    for page in pages:
        sizes.append(len(page["Steps"]))
        names += [step["InferenceBenchmark"]["EndpointConfiguration"]["EndpointName"] for step in page["Steps"]]
    assert sizes == [3, 3, 1]
    assert len(set(names)) == 7


def test_a_failed_job_tells_the_end_of_its_reason(sagemaker, job_request, engine):
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large"])
    engine.fail("no")
    engine.end(JobStatus.FAILED, "y" * 2000 + "no trial succeeded")
    answer = sagemaker.describe_inference_recommendations_job(JobName="job")
    assert answer["Status"] == "FAILED"
    assert len(answer["FailureReason"]) == 1024
    assert answer["FailureReason"].endswith("no trial succeeded")
    assert "InferenceRecommendations" not in answer


def test_stop_ends_a_job_with_the_results_so_far(sagemaker, job_request, engine, refused):
    sagemaker.create_inference_recommendations_job(**job_request)
    engine.plan(["ml.c5.large", "local.2cpu"])
    engine.succeed(600, 12)
    sagemaker.stop_inference_recommendations_job(JobName="job")
    assert sagemaker.describe_inference_recommendations_job(JobName="job")["Status"] == "STOPPING"
    sagemaker.stop_inference_recommendations_job(JobName="job")
    engine.end(JobStatus.STOPPED)
    answer = sagemaker.describe_inference_recommendations_job(JobName="job")
    assert answer["Status"] == "STOPPED"
    assert len(answer["InferenceRecommendations"]) == 1
    steps = sagemaker.list_inference_recommendations_job_steps(JobName="job")["Steps"]
    assert [step["Status"] for step in steps] == ["COMPLETED", "STOPPED"]
    told = refused("ValidationException", sagemaker.stop_inference_recommendations_job, JobName="job")
    assert "in status STOPPED" in told


def test_a_job_is_stopped_before_it_was_planned(sagemaker, job_request):
    sagemaker.create_inference_recommendations_job(**job_request)
    sagemaker.stop_inference_recommendations_job(JobName="job")
    status = sagemaker.describe_inference_recommendations_job(JobName="job")["Status"]
    assert status in ("STOPPING", "STOPPED")


def test_a_job_that_is_not_there_is_a_modelled_error(sagemaker):
    for function in (
        sagemaker.describe_inference_recommendations_job,
        sagemaker.list_inference_recommendations_job_steps,
        sagemaker.stop_inference_recommendations_job,
    ):
        with pytest.raises(sagemaker.exceptions.ResourceNotFound, match="Could not find inference recommendations job"):
            function(JobName="nobody")


def test_a_job_name_that_is_taken_is_a_modelled_error(sagemaker, job_request):
    sagemaker.create_inference_recommendations_job(**job_request)
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="already exists"):
        sagemaker.create_inference_recommendations_job(**job_request)


def test_rules_of_the_service_model_come_first_and_together(sagemaker, job_request, refused):
    job_request |= {"JobName": "-bad-", "JobType": "ADVANCED"}
    job_request["InputConfig"]["ContainerConfig"]["FrameworkVersion"] = "one"
    told = refused("ValidationException", sagemaker.create_inference_recommendations_job, **job_request)
    assert told.startswith("3 validation errors detected: ")
    assert "at 'inputConfig.containerConfig.frameworkVersion' failed to satisfy constraint" in told


def test_an_instance_type_of_ones_own_is_taken_where_aws_lists_its_own(sagemaker, job_request, refused):
    pattern = {"TrafficType": "PHASES", "Phases": [dict(InitialNumberOfUsers=1, SpawnRate=0, DurationInSeconds=10)]}
    job_request["JobType"] = "Advanced"
    job_request["InputConfig"] |= {
        "TrafficPattern": pattern,
        "EndpointConfigurations": [{"InstanceType": "local.2cpu"}],
    }
    sagemaker.create_inference_recommendations_job(**job_request)
    del pattern["Phases"][0]["SpawnRate"]  # version 3 of the SageMaker Python SDK leaves zeros out
    sagemaker.create_inference_recommendations_job(**job_request | {"JobName": "steady"})
    job_request |= {"JobName": "other"}
    job_request["InputConfig"]["EndpointConfigurations"] = [{"InstanceType": "local.9cpu"}]
    told = refused("ValidationException", sagemaker.create_inference_recommendations_job, **job_request)
    assert "local.9cpu" in told


def test_jobs_are_listed_with_a_summary_of_their_request(sagemaker, job_request):
    sagemaker.create_inference_recommendations_job(**job_request)
    (job,) = sagemaker.list_inference_recommendations_jobs()["InferenceRecommendationsJobs"]
    assert job["JobDescription"] == ""
    assert job["JobType"] == "Default"
    assert job["ModelName"] == "iris"
    assert job["SamplePayloadUrl"] == "s3://bucket/payload.tar.gz"
    assert job["RoleArn"] == job_request["RoleArn"]
    assert "ModelPackageVersionArn" not in job


def names_of(answer):
    return [job["JobName"] for job in answer["InferenceRecommendationsJobs"]]


def test_jobs_are_filtered_and_sorted(sagemaker, job_request, engine):
    for name in ("b-1", "a-1", "a-2"):
        sagemaker.create_inference_recommendations_job(**(job_request | {"JobName": name}))
    listing = sagemaker.list_inference_recommendations_jobs
    assert names_of(listing()) == ["a-2", "a-1", "b-1"]
    assert names_of(listing(SortBy="Name", SortOrder="Ascending")) == ["a-1", "a-2", "b-1"]
    assert names_of(listing(SortBy="Name")) == ["b-1", "a-2", "a-1"]
    assert names_of(listing(NameContains="a-")) == ["a-2", "a-1"]
    assert names_of(listing(ModelNameEquals="iris", MaxResults=2)) == ["a-2", "a-1"]
    assert names_of(listing(ModelNameEquals="other")) == []
    engine.plan(["ml.c5.large"], "a-1")
    assert names_of(listing(StatusEquals="IN_PROGRESS")) == ["a-1"]
    assert names_of(listing(SortBy="Status", SortOrder="Ascending"))[0] == "a-1"
    first = sagemaker.describe_inference_recommendations_job(JobName="b-1")["CreationTime"]
    later = first + datetime.timedelta(hours=1)
    assert names_of(listing(CreationTimeBefore=later, CreationTimeAfter=first - datetime.timedelta(hours=1))) == [
        "a-2",
        "a-1",
        "b-1",
    ]
    assert names_of(listing(CreationTimeAfter=later)) == []
    hour_ago = first - datetime.timedelta(hours=1)  # the engine of these tests plans in 2023
    assert names_of(listing(LastModifiedTimeBefore=hour_ago)) == ["a-1"]
    assert names_of(listing(LastModifiedTimeAfter=hour_ago)) == ["a-2", "b-1"]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("key", ["Name", "CreationTime", "Status"])
def test_pages_stay_correct_while_jobs_are_added(sagemaker, job_request, key, order):
    def create(name):
        sagemaker.create_inference_recommendations_job(**(job_request | {"JobName": name}))

    known = [f"job-{letter}" for letter in "dhbfac"]
    for name in known:
        create(name)
    asked = {"SortBy": key, "SortOrder": order, "MaxResults": 2}
    seen, token, added = [], None, 0
    while True:
        answer = sagemaker.list_inference_recommendations_jobs(**asked, **({"NextToken": token} if token else {}))
        seen += names_of(answer)
        token = answer.get("NextToken")
        if token is None or added > 5:
            break
        create(f"job-{'az'[added % 2]}{added}")
        added += 1
    assert len(seen) == len(set(seen))
    old = [name for name in seen if name in known]
    assert sorted(old) == sorted(known)
    if key == "Name":
        assert seen == sorted(seen, reverse=order == "Descending")


def test_a_token_of_another_query_is_refused(sagemaker, job_request, refused, connect):
    for name in ("a", "b", "c"):
        sagemaker.create_inference_recommendations_job(**(job_request | {"JobName": name}))
    listing = sagemaker.list_inference_recommendations_jobs
    token = listing(MaxResults=1)["NextToken"]
    assert names_of(listing(MaxResults=5, NextToken=token)) == ["b", "a"]
    for other in ({"SortBy": "Name"}, {"SortOrder": "Ascending"}, {"NameContains": "a"}):
        assert "NextToken" in refused("ValidationException", listing, NextToken=token, **other)
    elsewhere = connect("test-west-1")
    for function in (elsewhere.list_inference_recommendations_jobs, sagemaker.list_models):
        assert "NextToken" in refused("ValidationException", function, NextToken=token)
    for garbage in ("garbage", "!!!", "bnVsbA", "WzEsMiwzXQ", token[:-3], "[" * 500):
        assert "NextToken" in refused("ValidationException", listing, NextToken=garbage)


def test_regions_do_not_see_each_other(sagemaker, job_request, connect):
    elsewhere = connect("test-west-2")
    sagemaker.create_inference_recommendations_job(**job_request)
    assert names_of(elsewhere.list_inference_recommendations_jobs()) == []
    with pytest.raises(elsewhere.exceptions.ResourceNotFound):
        elsewhere.describe_inference_recommendations_job(JobName="job")
