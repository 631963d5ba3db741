"""Whatever arrives, a request is taken or refused; nothing else happens to it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeldyno.domain.errors import InvalidRequest, RequestError
from modeldyno.wire.decode import decode_call
from modeldyno.wire.readers import read_params
from modeldyno.wire.service import service
from modeldyno.wire.validate import VIOLATIONS, validate_input

ROLE = "arn:aws:iam::000000000000:role/dyno"
GROUP_ARN = "arn:aws:sagemaker:us-east-1:000000000000:model-package-group/group"
MINIMAL = {
    "CreateInferenceRecommendationsJob": {
        "JobName": "job",
        "JobType": "Default",
        "RoleArn": ROLE,
        "InputConfig": {"ModelName": "model"},
    },
    "DescribeInferenceRecommendationsJob": {"JobName": "job"},
    "ListInferenceRecommendationsJobs": {},
    "ListInferenceRecommendationsJobSteps": {"JobName": "job"},
    "StopInferenceRecommendationsJob": {"JobName": "job"},
    "CreateModel": {"ModelName": "model"},
    "DescribeModel": {"ModelName": "model"},
    "ListModels": {},
    "DeleteModel": {"ModelName": "model"},
    "CreateModelPackageGroup": {"ModelPackageGroupName": "group"},
    "DescribeModelPackageGroup": {"ModelPackageGroupName": "group"},
    "ListModelPackageGroups": {},
    "DeleteModelPackageGroup": {"ModelPackageGroupName": GROUP_ARN},
    "CreateModelPackage": {},
    "DescribeModelPackage": {"ModelPackageName": "package"},
    "UpdateModelPackage": {"ModelPackageArn": "arn:aws:sagemaker:us-east-1:000000000000:model-package/group/1"},
    "ListModelPackages": {},
    "DeleteModelPackage": {"ModelPackageName": "package"},
    "AddTags": {"ResourceArn": GROUP_ARN, "Tags": []},
    "ListTags": {"ResourceArn": GROUP_ARN},
    "DeleteTags": {"ResourceArn": GROUP_ARN, "TagKeys": ["key"]},
}
unhurried = settings(deadline=None)
OPERATIONS = st.sampled_from([*MINIMAL, "Search", "CreateCluster", "CreateEndpointConfig", "CreateInferenceExperiment"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


SIMPLE = {
    "string": st.text(max_size=70) | st.just("a"),
    "integer": st.integers(-2, 2**31 - 1),
    "long": st.integers(-2, 2**31 - 1),
    "float": st.floats(-2, 2),
    "double": st.floats(-2, 2),
    "boolean": st.booleans(),
    "timestamp": st.integers(0, 2**31),
}


def shaped(name: str, depth: int = 0) -> st.SearchStrategy[object]:
    """Values that have the right type nearly everywhere, so that the rules beyond types are reached."""
    shape = service().shapes[name]
    if shape.enum:
        return st.sampled_from(shape.enum)
    if shape.type in SIMPLE or depth > 4:
        return SIMPLE.get(shape.type, SCALARS)
    if shape.type == "list":
        return st.lists(shaped(shape.member.shape, depth + 1), max_size=3)
    if shape.type == "map":
        return st.dictionaries(shaped(shape.key.shape), shaped(shape.value.shape, depth + 1), max_size=3)
    members = {member: shaped(ref.shape, depth + 1) for member, ref in shape.members.items()}
    return st.fixed_dictionaries({}, optional=members)


def refusal(step: Callable[[], None]) -> RequestError | None:
    """The error of the tree that ended it; any other error fails the test."""
    try:
        step()
    except RequestError as error:
        return error
    return None


@unhurried
@given(OPERATIONS, JSON)
def test_arbitrary_json_is_taken_or_refused_with_a_message(operation, document):
    error = refusal(lambda: validate_input(operation, read_params(operation, document)))
    assert error is None or str(error)


@unhurried
@given(OPERATIONS, st.binary() | JSON.map(lambda document: json.dumps(document).encode()))
def test_arbitrary_bytes_are_taken_or_refused_with_a_message(operation, body):
    error = refusal(
        lambda: validate_input(operation, decode_call({"x-amz-target": f"SageMaker.{operation}"}, body).params)
    )
    assert error is None or str(error)


@unhurried
@given(st.data())
def test_documents_of_the_right_shape_are_taken_or_refused_with_a_line_for_each_broken_rule(data):
    operation = data.draw(OPERATIONS)
    document = data.draw(shaped(service().operations[operation].input.shape))
    error = refusal(lambda: validate_input(operation, read_params(operation, document)))
    lines = error.violations if isinstance(error, InvalidRequest) else ()
    assert len(lines) <= VIOLATIONS
    assert all(" failed to satisfy constraint: " in line for line in lines)


@pytest.mark.parametrize("operation", MINIMAL)
def test_the_least_that_an_operation_asks_for_is_accepted(operation):
    validate_input(operation, read_params(operation, MINIMAL[operation]))


@unhurried
@given(st.sampled_from([name for name, params in MINIMAL.items() if params]), st.data())
def test_every_member_of_the_least_is_needed_and_is_named_when_it_is_gone(operation, data):
    gone = data.draw(st.sampled_from(sorted(MINIMAL[operation])))
    rest = {name: value for name, value in MINIMAL[operation].items() if name != gone}
    with pytest.raises(InvalidRequest) as refused:
        validate_input(operation, rest)
    path = gone[0].lower() + gone[1:]
    assert refused.value.violations == (
        f"Value null at '{path}' failed to satisfy constraint: Member must not be null",
    )


@unhurried
@given(st.text(min_size=1, max_size=80))
def test_a_job_s_name_is_taken_exactly_when_it_is_letters_digits_and_inner_hyphens_up_to_64(name):
    letters = name.replace("-", "a")
    fine = letters.isascii() and letters.isalnum() and name[0] != "-" != name[-1] and len(name) <= 64
    error = refusal(lambda: validate_input("DescribeInferenceRecommendationsJob", {"JobName": name}))
    assert (error is None) == fine
