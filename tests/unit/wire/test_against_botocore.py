"""Dyno's reading of the service model beside botocore's own, over every operation and shape."""

from __future__ import annotations

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest

from modeldyno.wire.decode import decode_call
from modeldyno.wire.encode import encode_output
from modeldyno.wire.service import Api, service
from modeldyno.wire.validate import PATTERNS, compiled
from tests.unit.wire.samples import on_our_side, sample

THEIRS = botocore.model.ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"))


def test_it_has_the_operations_and_shapes_that_botocore_has():
    ours = service()
    assert list(ours.operations) == list(THEIRS.operation_names)
    assert (ours.metadata.api_version, ours.metadata.json_version) == (THEIRS.api_version, "1.1")
    assert ours.metadata.target_prefix == THEIRS.metadata["targetPrefix"]
    for name, shape in ours.shapes.items():
        theirs = THEIRS.shape_for(name)
        assert shape.type == theirs.type_name
        assert (shape.min, shape.max) == (theirs.metadata.get("min"), theirs.metadata.get("max"))
        assert shape.pattern == theirs.metadata.get("pattern")
        assert list(shape.enum) == theirs.metadata.get("enum", [])
        if shape.type == "structure":
            assert {member: ref.shape for member, ref in shape.members.items()} == {
                member: inner.name for member, inner in theirs.members.items()
            }
            assert list(shape.required) == theirs.required_members
            assert shape.union == getattr(theirs, "is_tagged_union", False)


def test_every_operation_s_answer_is_parsed_by_botocore_as_it_was_meant():
    parser = botocore.parsers.create_parser("json")
    for name in THEIRS.operation_names:
        model = THEIRS.operation_model(name)
        meant = {} if model.output_shape is None else sample(model.output_shape)
        body = encode_output(name, on_our_side(meant))
        parsed = parser.parse({"status_code": 200, "headers": {}, "body": body}, model.output_shape)
        parsed.pop("ResponseMetadata")
        assert on_our_side(parsed) == on_our_side(meant), name


def test_every_operation_s_request_as_botocore_sends_it_is_read_as_it_was_meant():
    serializer = botocore.serialize.create_serializer("json", include_validation=False)
    for name in THEIRS.operation_names:
        model = THEIRS.operation_model(name)
        meant = sample(model.input_shape)
        sent = serializer.serialize_to_request(meant, model)
        headers = {key.lower(): value for key, value in sent["headers"].items()}
        call = decode_call(headers, sent["body"])
        assert call.operation == name
        assert call.params == on_our_side(meant), name


def test_every_pattern_of_the_models_can_be_read_and_the_table_holds_no_other():
    every = [shape for api in Api for shape in service(api).shapes.values()]
    patterns = {shape.pattern for shape in every if shape.pattern is not None}
    for pattern in patterns:
        compiled(pattern)
    assert set(PATTERNS) <= patterns


@pytest.mark.parametrize(
    ("shape", "good", "bad"),
    [
        ("Catalog", ["", "a table", "😀", "a\tb"], ["a\nb"]),
        ("TagKey", ["é: a/b", "日本"], ["a!", "a\n"]),
        ("CustomerMetadataKey", ["", "a b@c"], ["a!"]),
        ("RoleArn", ["arn:aws:iam::123456789012:role/service/Name"], ["arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/x", "role"]),
        ("TrainingRepositoryCredentialsProviderArn", ["arn:aws:lambda:eu-1:123456789012:function:f"], ["arn:é:lambda"]),
        ("RecommendationJobName", ["a", "a-b", "a--b"], ["-a", "a-", "a_b", "a\n", " a"]),
    ],
)
def test_a_pattern_holds_for_the_whole_value_and_means_what_it_means_in_java(shape, good, bad):
    pattern = compiled(service().shapes[shape].pattern)
    assert [value for value in good if not pattern.fullmatch(value)] == []
    assert [value for value in bad if pattern.fullmatch(value)] == []
