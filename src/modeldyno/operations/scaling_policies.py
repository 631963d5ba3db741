"""Application Auto Scaling of endpoints' variants: targets and policies. The worker goes by them (`engine.scaling`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from modeldyno.domain.errors import InvalidRequest, ResourceNotFound, UnsupportedRequest
from modeldyno.domain.metric import CPU, METRICS, PER_INSTANCE, Namespace, Unit
from modeldyno.domain.target_tracking import COOLDOWN_SECONDS, Policy, ScalableTarget
from modeldyno.operations.context import Context
from modeldyno.operations.metric_sources import ENDPOINT_NAME, VARIANT_NAME
from modeldyno.operations.shapes import Shape, integer, name, number, struct, structs, text, texts
from modeldyno.operations.unsupported import refuse_unsupported

_Item = TypeVar("_Item")

_NAMESPACE, _DIMENSION = "sagemaker", "sagemaker:variant:DesiredInstanceCount"
_TRACKING, _CONFIGURATION = "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration"
_PREDEFINED = "SageMakerVariantInvocationsPerInstance"
_RESOURCE = re.compile("endpoint/([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})/variant/([a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62})")
_MOST_POLICIES = 50  # Source: Application Auto Scaling, quotas: step scaling and target tracking policies of a target
_MOST_RESULTS = 50  # Source: botocore, DescribeScalableTargetsRequest.MaxResults
_TOKEN = re.compile("([0-9]{1,9})")


def register(context: Context, params: Shape) -> Shape:
    """Let a variant be scaled, or change between which numbers of instances."""
    refuse_unsupported("RegisterScalableTarget", params)
    endpoint, variant = _resource(params)
    _require_variant(context, endpoint, variant)

    def change(before: ScalableTarget | None) -> ScalableTarget:
        return _bounded(params, before or _new_target(context, params, endpoint, variant))

    made = context.store.change_scaling(context.region, endpoint, variant, change)
    assert made is not None
    return {"ScalableTargetARN": made.arn}


def deregister(context: Context, params: Shape) -> None:
    """Scale a variant no more; its policies go, too. It keeps the instances that it has."""
    refuse_unsupported("DeregisterScalableTarget", params)
    endpoint, variant = _resource(params)

    def change(before: ScalableTarget | None) -> None:
        _there(before, params)

    context.store.change_scaling(context.region, endpoint, variant, change)


def describe_targets(context: Context, params: Shape) -> Shape:
    """The targets of the region."""
    refuse_unsupported("DescribeScalableTargets", params)
    wanted = texts(params, "ResourceIds")
    found = [one for one in _targets(context, params) if not wanted or one.resource_id in wanted]
    page, token = _page(params, found)
    return {"ScalableTargets": [_target_shape(one) for one in page], "NextToken": token}


def put_policy(context: Context, params: Shape) -> Shape:
    """Make a target tracking policy, or replace the one of that name."""
    refuse_unsupported("PutScalingPolicy", params)
    endpoint, variant = _resource(params)
    if not struct(params, _CONFIGURATION):
        raise InvalidRequest(f"The policy has no {_CONFIGURATION}.")
    made = _policy(context, params, endpoint, variant)

    def change(before: ScalableTarget | None) -> ScalableTarget:
        target = _there(before, params)
        same = next((one for one in target.policies if one.name == made.name), None)
        if same is not None:
            fresh = replace(made, arn=same.arn, created_at=same.created_at)
            return replace(target, policies=tuple(fresh if one is same else one for one in target.policies))
        if len(target.policies) >= _MOST_POLICIES:
            raise InvalidRequest(f"{target.resource_id} has {_MOST_POLICIES} policies already.")
        return replace(target, policies=(*target.policies, made))

    changed = context.store.change_scaling(context.region, endpoint, variant, change)
    assert changed is not None
    arn = next(one.arn for one in changed.policies if one.name == made.name)
    return {"PolicyARN": arn, "Alarms": []}


def delete_policy(context: Context, params: Shape) -> None:
    """Remove a policy."""
    refuse_unsupported("DeleteScalingPolicy", params)
    endpoint, variant = _resource(params)
    policy = name(params, "PolicyName")

    def change(before: ScalableTarget | None) -> ScalableTarget:
        target = _there(before, params)
        left = tuple(one for one in target.policies if one.name != policy)
        if len(left) == len(target.policies):
            raise ResourceNotFound(f"No scaling policy {policy} found for {target.resource_id}.")
        return replace(target, policies=left)

    context.store.change_scaling(context.region, endpoint, variant, change)


def describe_policies(context: Context, params: Shape) -> Shape:
    """The policies of the region, or of one target."""
    refuse_unsupported("DescribeScalingPolicies", params)
    resource, names = text(params, "ResourceId"), texts(params, "PolicyNames")
    found = [
        _policy_shape(target, policy)
        for target in _targets(context, params)
        if resource in (None, target.resource_id)
        for policy in target.policies
        if not names or policy.name in names or policy.arn in names
    ]
    page, token = _page(params, found)
    return {"ScalingPolicies": list(page), "NextToken": token}


# --- reading ---


def _check_kind(params: Shape) -> None:
    """That it is about instances of variants."""
    namespace, dimension = name(params, "ServiceNamespace"), text(params, "ScalableDimension")
    if namespace != _NAMESPACE:
        raise UnsupportedRequest(f"ServiceNamespace {namespace} is not supported: {_NAMESPACE} is.")
    if dimension not in (None, _DIMENSION):
        raise UnsupportedRequest(f"ScalableDimension {dimension} is not supported: {_DIMENSION} is.")


def _resource(params: Shape) -> tuple[str, str]:
    """Endpoint and variant."""
    _check_kind(params)
    found = _RESOURCE.fullmatch(name(params, "ResourceId"))
    if found is None:
        raise InvalidRequest(
            f"ResourceId {name(params, 'ResourceId')[:256]!r} is not of the form endpoint/NAME/variant/VARIANT."
        )
    return found[1], found[2]


def _require_variant(context: Context, endpoint: str, variant: str) -> None:
    try:
        spec = context.store.endpoint(context.region, endpoint).fleet.spec
    except ResourceNotFound:
        raise InvalidRequest(f"There is no endpoint {endpoint}.") from None
    if all(one.name != variant for one in spec.variants):
        raise InvalidRequest(f"The endpoint {endpoint} has no production variant {variant}.")
    if spec.serverless:
        raise InvalidRequest(f"The variant {variant} of {endpoint} is serverless: it has no instances to scale.")


def _new_target(context: Context, params: Shape, endpoint: str, variant: str) -> ScalableTarget:
    least, most = integer(params, "MinCapacity"), integer(params, "MaxCapacity")
    if least is None or most is None:
        raise InvalidRequest("MinCapacity and MaxCapacity are needed where a scalable target is registered first.")
    arn = f"arn:aws:application-autoscaling:{context.region}:{context.account}:scalable-target"
    role = (
        f"arn:aws:iam::{context.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    )
    return ScalableTarget(
        region=context.region,
        endpoint=endpoint,
        variant=variant,
        arn=f"{arn}/{context.entropy.token(35)}",
        least=least,
        most=most,
        role=role,
        created_at=context.now(),
    )


def _bounded(params: Shape, target: ScalableTarget) -> ScalableTarget:
    """The target with what the request says of its bounds and suspensions."""
    least, most = integer(params, "MinCapacity"), integer(params, "MaxCapacity")
    least, most = target.least if least is None else least, target.most if most is None else most
    if least < 1:
        raise InvalidRequest(f"MinCapacity {least} is not allowed: a variant has one instance at least.")
    if most < least:
        raise InvalidRequest(f"MaxCapacity {most} is below MinCapacity {least}.")
    state = struct(params, "SuspendedState")

    def suspended(member: str, before: bool) -> bool:
        return bool(state.get(member, before))

    return replace(
        target,
        least=least,
        most=most,
        role=text(params, "RoleARN") or target.role,
        in_suspended=suspended("DynamicScalingInSuspended", target.in_suspended),
        out_suspended=suspended("DynamicScalingOutSuspended", target.out_suspended),
        scheduled_suspended=suspended("ScheduledScalingSuspended", target.scheduled_suspended),
    )


def _policy(context: Context, params: Shape, endpoint: str, variant: str) -> Policy:
    document = struct(params, _CONFIGURATION)
    target = number(document, "TargetValue")
    if target is None or target <= 0:
        raise InvalidRequest(f"TargetValue {target} is not allowed: it must be above 0.")
    namespace, metric, statistic = _metric(document, {ENDPOINT_NAME: endpoint, VARIANT_NAME: variant})
    policy = name(params, "PolicyName")
    where = f"resource/{_NAMESPACE}/{name(params, 'ResourceId')}:policyName/{policy}"
    arn = f"arn:aws:autoscaling:{context.region}:{context.account}:scalingPolicy"
    return Policy(
        name=policy,
        arn=f"{arn}:{context.entropy.token(32)}:{where}",
        namespace=namespace,
        metric=metric,
        statistic=statistic,
        target=target,
        out_cooldown=_cooldown(document, "ScaleOutCooldown"),
        in_cooldown=_cooldown(document, "ScaleInCooldown"),
        scales_in=not document.get("DisableScaleIn"),
        created_at=context.now(),
        document=document,
    )


def _cooldown(document: Shape, member: str) -> int:
    value = integer(document, member)
    if value is not None and value < 0:
        raise InvalidRequest(f"{member} {value} is not allowed: the least is 0.")
    return COOLDOWN_SECONDS if value is None else value


def _metric(document: Shape, dimensions: dict[str, str]) -> tuple[str, str, str]:
    """Namespace, name and statistic."""
    predefined, own = (
        struct(document, "PredefinedMetricSpecification"),
        struct(document, "CustomizedMetricSpecification"),
    )
    if bool(predefined) == bool(own):
        raise InvalidRequest("Provide exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification.")
    if predefined:
        kind = name(predefined, "PredefinedMetricType")
        if kind != _PREDEFINED:
            raise UnsupportedRequest(f"PredefinedMetricType {kind} is not supported: {_PREDEFINED} is.")
        return PER_INSTANCE.namespace, PER_INSTANCE.name, "Sum"
    key = text(own, "Namespace") or "", text(own, "MetricName") or ""
    metric, statistic = METRICS.get(key), text(own, "Statistic")
    if metric is None or metric.namespace is Namespace.JOBS:
        raise UnsupportedRequest(
            f"The metric {key[1]!r} of the namespace {key[0]!r} is not supported: those of endpoints are, such as "
            f"{CPU.name} of {CPU.namespace}."
        )
    if {name(one, "Name"): name(one, "Value") for one in structs(own, "Dimensions")} != dimensions:
        wanted = ", ".join(f"{key} {value}" for key, value in dimensions.items())
        raise UnsupportedRequest(f"A policy goes by the metrics of its own variant: Dimensions must be {wanted}.")
    if statistic is None:
        raise InvalidRequest("A CustomizedMetricSpecification needs a Statistic.")
    if (unit := text(own, "Unit")) not in (None, metric.unit):
        raise InvalidRequest(f"The metric {metric.name} has the unit {Unit(metric.unit)}, not {unit}.")
    return metric.namespace, metric.name, statistic


def _there(target: ScalableTarget | None, params: Shape) -> ScalableTarget:
    if target is None:
        raise ResourceNotFound(
            f"No scalable target registered for service namespace: {_NAMESPACE}, resource ID: "
            f"{name(params, 'ResourceId')}, scalable dimension: {_DIMENSION}"
        )
    return target


def _targets(context: Context, params: Shape) -> list[ScalableTarget]:
    _check_kind(params)
    return [one for one in context.store.scalable_targets() if one.region == context.region]


def _page(params: Shape, found: Sequence[_Item]) -> tuple[Sequence[_Item], str | None]:
    token, limit = text(params, "NextToken"), integer(params, "MaxResults")
    if token and _TOKEN.fullmatch(token) is None:
        raise InvalidRequest("The NextToken is invalid.")
    if limit is not None and not 1 <= limit <= _MOST_RESULTS:
        raise InvalidRequest(f"MaxResults {limit} is not allowed: it is 1 to {_MOST_RESULTS}.")
    first = int(token) if token else 0
    last = first + (limit or _MOST_RESULTS)
    return found[first:last], str(last) if last < len(found) else None


# --- shapes ---


def _target_shape(target: ScalableTarget) -> Shape:
    return {
        "ServiceNamespace": _NAMESPACE,
        "ResourceId": target.resource_id,
        "ScalableDimension": _DIMENSION,
        "MinCapacity": target.least,
        "MaxCapacity": target.most,
        "RoleARN": target.role,
        "CreationTime": target.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": target.in_suspended,
            "DynamicScalingOutSuspended": target.out_suspended,
            "ScheduledScalingSuspended": target.scheduled_suspended,
        },
        "ScalableTargetARN": target.arn,
    }


def _policy_shape(target: ScalableTarget, policy: Policy) -> Shape:
    return {
        "PolicyARN": policy.arn,
        "PolicyName": policy.name,
        "ServiceNamespace": _NAMESPACE,
        "ResourceId": target.resource_id,
        "ScalableDimension": _DIMENSION,
        "PolicyType": _TRACKING,
        _CONFIGURATION: policy.document,
        "Alarms": [],
        "CreationTime": policy.created_at,
    }


HANDLERS: dict[str, Callable[[Context, Shape], Shape | None]] = {
    "RegisterScalableTarget": register,
    "DeregisterScalableTarget": deregister,
    "DescribeScalableTargets": describe_targets,
    "PutScalingPolicy": put_policy,
    "DeleteScalingPolicy": delete_policy,
    "DescribeScalingPolicies": describe_policies,
}
