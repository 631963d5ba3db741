from __future__ import annotations

import json

import pytest

from modeldyno.domain.errors import MalformedRequest, UnknownOperation
from modeldyno.wire.decode import decode_call

CREATE = "SageMaker.CreateInferenceRecommendationsJob"
LIST = "SageMaker.ListInferenceRecommendationsJobs"


def decoded(document, target=CREATE, **headers):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_call({"x-amz-target": target, **headers}, body)


def signed(scope):
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature=00"


@pytest.mark.parametrize(
    ("headers", "region"),
    [
        ({}, "us-east-1"),
        ({"authorization": signed("AKID/20240229/eu-west-1/sagemaker/aws4_request")}, "eu-west-1"),
        ({"authorization": signed("key/with/slashes/20240229/ap-south-2/sagemaker/aws4_request")}, "ap-south-2"),
        ({"x-amz-credential": "AKID/20240229/ca-central-1/sagemaker/aws4_request"}, "ca-central-1"),
        ({"authorization": "Bearer abc"}, "us-east-1"),
        ({"authorization": signed("AKID/20240229")}, "us-east-1"),
    ],
)
def test_the_region_is_that_of_the_credential_scope(headers, region):
    assert decoded({}, **headers).region == region


def test_a_scope_that_names_no_region_is_refused():
    with pytest.raises(MalformedRequest, match="'EU WEST'"):
        decoded({}, **{"x-amz-credential": "AKID/20240229/EU WEST/sagemaker/aws4_request"})


@pytest.mark.parametrize("target", ["SageMaker.Nonsense", "DynamoDB_20120810.GetItem", "DescribeModel", "", "é" * 9999])
def test_a_target_that_is_no_operation_is_refused_by_name(target):
    with pytest.raises(UnknownOperation) as refused:
        decoded({}, target=target)
    assert target[:100] in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_request_without_a_target_is_told_what_a_target_looks_like():
    with pytest.raises(UnknownOperation, match=r"no X-Amz-Target header.*SageMaker\.DescribeModel"):
        decode_call({}, b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff garbage",
        b'{"JobName": "\xff"}',
        b'{"JobName": "\\ud800"}',
        b"{} {}",
        b'{"JobName": NaN}',
        b'{"JobName": 1e999}',
        b'{"JobName": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(MalformedRequest):
        decoded(body)


def test_a_shape_that_holds_itself_may_nest_but_not_without_end():
    def nested(levels):
        inner = {"Operator": "And"}
        for _ in range(levels):
            inner = {"SubExpressions": [inner]}
        return {"Resource": "ModelPackageGroup", "SearchExpression": inner}

    assert decoded(nested(20), target="SageMaker.Search").params == nested(20)
    with pytest.raises(MalformedRequest, match="deep"):
        decoded(b'{"SearchExpression":' + b'{"SubExpressions":[' * 450 + b"]}" * 450 + b"}", target="SageMaker.Search")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "LIST_VALUE can not be converted to a structure at the top level."),
        (None, "NULL_VALUE can not be converted to a structure at the top level."),
        ("x", "STRING_VALUE can not be converted to a structure at the top level."),
        ({"JobName": 3}, "NUMBER_VALUE can not be converted to a String at 'jobName'."),
        (
            {"InputConfig": {"JobDurationInSeconds": "60"}},
            "STRING_VALUE can not be converted to an Integer at 'inputConfig.jobDurationInSeconds'.",
        ),
        (
            {"InputConfig": {"JobDurationInSeconds": True}},
            "BOOLEAN_VALUE can not be converted to an Integer at 'inputConfig.jobDurationInSeconds'.",
        ),
        (
            {"InputConfig": {"JobDurationInSeconds": 60.0}},
            "NUMBER_VALUE can not be converted to an Integer at 'inputConfig.jobDurationInSeconds'.",
        ),
        (
            {"InputConfig": {"JobDurationInSeconds": 2**31}},
            "2147483648 does not fit an Integer at 'inputConfig.jobDurationInSeconds'.",
        ),
        ({"InputConfig": []}, "LIST_VALUE can not be converted to a structure at 'inputConfig'."),
        ({"Tags": {}}, "OBJECT_VALUE can not be converted to a list at 'tags'."),
        ({"Tags": [{"Key": "a"}, None]}, "NULL_VALUE can not be converted to a structure at 'tags.2.member'."),
        ({"Tags": [{"Key": False}]}, "BOOLEAN_VALUE can not be converted to a String at 'tags.1.member.key'."),
    ],
)
def test_a_wrong_type_is_named_with_the_path_of_its_member(document, message):
    with pytest.raises(MalformedRequest) as refused:
        decoded(document)
    assert str(refused.value) == message


def test_types_are_held_apart_in_maps_booleans_and_floats():
    def model(**members):
        return decoded({"PrimaryContainer": members}, target="SageMaker.CreateModel")

    with pytest.raises(MalformedRequest, match=r"at 'primaryContainer\.environment\.A\.member'"):
        model(Environment={"A": 1})
    with pytest.raises(MalformedRequest, match=r"NULL_VALUE .* a String"):
        model(Environment={"A": None})
    with pytest.raises(MalformedRequest, match="a Boolean"):
        decoded({"EnableNetworkIsolation": 1}, target="SageMaker.CreateModel")
    variants = {"ProductionVariants": [{"InitialVariantWeight": 2}]}
    read = decoded(variants, target="SageMaker.CreateEndpointConfig").params["ProductionVariants"][0]
    assert isinstance(read["InitialVariantWeight"], float)
    with pytest.raises(MalformedRequest, match="does not fit a Float"):
        decoded({"ProductionVariants": [{"InitialVariantWeight": 1e39}]}, target="SageMaker.CreateEndpointConfig")


def test_a_null_member_is_absent_and_an_unknown_one_is_kept_for_the_validator():
    assert decoded({"JobName": None, "Tags": [{"Key": "a", "Value": None}], "JobNam": 3}).params == {
        "Tags": [{"Key": "a"}],
        "JobNam": 3,
    }


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (1700000000, 1700000000.0),
        (1700000000.25, 1700000000.25),
        ("2023-11-14T22:13:20Z", 1700000000.0),
        ("2023-11-14T23:13:20.250+01:00", 1700000000.25),
        ("2023-11-14T22:13:20", 1700000000.0),
    ],
)
def test_a_timestamp_is_a_number_of_seconds_or_iso_8601(sent, seconds):
    assert decoded({"CreationTimeAfter": sent}, target=LIST).params == {"CreationTimeAfter": seconds}


@pytest.mark.parametrize(
    "sent", ["yesterday", True, {}, 1e15, -1e15, 10**400, "2023-13-01", "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_timestamp_is_refused_with_its_path(sent):
    with pytest.raises(MalformedRequest, match="'creationTimeAfter'"):
        decoded({"CreationTimeAfter": sent}, target=LIST)


def test_a_presigned_call_has_the_region_that_it_was_signed_for():
    query = "X-Amz-Credential=KEY%2F20260101%2Feu-west-1%2Fsagemaker%2Faws4_request"
    call = decode_call({"x-amz-target": "SageMaker.ListModels"}, b"{}", "/", query)
    assert (call.region, call.key_id) == ("eu-west-1", "KEY")
