"""Names that clients of AWS take apart."""

from __future__ import annotations

import re

import pytest

from modeldyno.domain.names import JOB, Arn, arn_of, endpoint_name, keep_end, parse_arn, recommendation_id
from modeldyno.domain.resource import Kind
from modeldyno.domain.units import parse_percentile


def test_an_arn_is_read_as_it_was_written():
    text = arn_of(Kind.PACKAGE, "us-east-1", "000000000000", "grp/3")
    assert text == "arn:aws:sagemaker:us-east-1:000000000000:model-package/grp/3"
    assert parse_arn(text) == Arn("aws", "us-east-1", "000000000000", "model-package", "grp/3")


@pytest.mark.parametrize(
    ("region", "partition"),
    [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("eu-central-1", "aws"), ("cnidaria-1", "aws")],
)
def test_a_regions_partition_is_in_its_arns(region, partition):
    assert arn_of(JOB, region, "000000000000", "job").startswith(f"arn:{partition}:sagemaker:{region}:")


@pytest.mark.parametrize("text", ["", "job", "arn:aws:s3:::bucket", "arn:aws:sagemaker:us-east-1:1:model/m"])
def test_what_is_no_arn_of_sagemaker_is_none(text):
    assert parse_arn(text) is None


def test_a_recommendation_is_named_after_its_job_for_ever():
    name = recommendation_id("job", "trial-1")
    assert name == recommendation_id("job", "trial-1")
    assert name != recommendation_id("job", "trial-2")
    # Source: the regular expression of the SageMaker Python SDK.
    assert re.match(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,63}/\w{8}$", name)


def test_an_endpoint_name_is_one_of_sagemakers_however_long_the_job_name_is():
    for job_name in ("j", "j" * 64, "a" * 39 + "-" * 5 + "b"):
        name = endpoint_name(job_name, "id", 99)
        assert len(name) <= 63
        assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)
        assert name.startswith("sm-epc-")
    assert endpoint_name("j", "id", 1) != endpoint_name("j", "other", 1)


def test_a_long_text_keeps_its_end():
    assert keep_end("short", 1024) == "short"
    cut = keep_end("x" * 2000 + "reason", 1024)
    assert len(cut) == 1024
    assert cut.startswith("...x")
    assert cut.endswith("reason")


@pytest.mark.parametrize(("text", "value"), [("P95", 95.0), ("P99.9", 99.9), ("P1", 1.0)])
def test_a_percentile_is_read(text, value):
    assert parse_percentile(text) == value


@pytest.mark.parametrize("text", ["", "95", "p95", "P0", "P100", "P-1", "P95 ", "Pfoo", "P٩٥", "P1e1"])
def test_what_is_no_percentile_is_none(text):
    assert parse_percentile(text) is None
