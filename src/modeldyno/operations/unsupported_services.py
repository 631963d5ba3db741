"""What requests to the services beside SageMaker may hold: see `unsupported`."""

from __future__ import annotations

from modeldyno.operations.refusals import Refusal

_ONE_ACCOUNT = Refusal("there is one account")

_RESOURCE = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_TRACKING = "TargetTrackingScalingPolicyConfiguration"

SERVICES_ACCEPTED: dict[str, tuple[str, ...]] = {
    "DescribeLogGroups": ("logGroupNamePrefix", "logGroupNamePattern", "limit", "nextToken", "logGroupClass"),
    "DescribeLogStreams": (
        "logGroupName",
        "logGroupIdentifier",
        "logStreamNamePrefix",
        "orderBy",
        "descending",
        "limit",
        "nextToken",
    ),
    "GetLogEvents": (
        "logGroupName",
        "logGroupIdentifier",
        "logStreamName",
        "startTime",
        "endTime",
        "nextToken",
        "limit",
        "startFromHead",
        "unmask",
    ),
    "FilterLogEvents": (
        "logGroupName",
        "logGroupIdentifier",
        "logStreamNames",
        "logStreamNamePrefix",
        "startTime",
        "endTime",
        "filterPattern",
        "limit",
        "nextToken",
        "interleaved",
        "unmask",
        "startFromHead",
    ),
    "GetMetricStatistics": (
        "Namespace",
        "MetricName",
        "Dimensions.*",
        "StartTime",
        "EndTime",
        "Period",
        "Statistics",
        "ExtendedStatistics",
        "Unit",
    ),
    "GetMetricData": (
        "MetricDataQueries",
        "MetricDataQueries[].Id",
        "MetricDataQueries[].MetricStat.*",
        "MetricDataQueries[].Label",
        "MetricDataQueries[].ReturnData",
        "StartTime",
        "EndTime",
        "NextToken",
        "ScanBy",
        "MaxDatapoints",
        "LabelOptions.*",
    ),
    "RegisterScalableTarget": (*_RESOURCE, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState.*"),
    "DeregisterScalableTarget": _RESOURCE,
    "DescribeScalableTargets": ("ServiceNamespace", "ResourceIds", "ScalableDimension", "MaxResults", "NextToken"),
    "PutScalingPolicy": (
        *_RESOURCE,
        "PolicyName",
        "PolicyType",
        _TRACKING,
        f"{_TRACKING}.TargetValue",
        f"{_TRACKING}.ScaleOutCooldown",
        f"{_TRACKING}.ScaleInCooldown",
        f"{_TRACKING}.DisableScaleIn",
        f"{_TRACKING}.PredefinedMetricSpecification",
        f"{_TRACKING}.PredefinedMetricSpecification.PredefinedMetricType",
        f"{_TRACKING}.CustomizedMetricSpecification",
        f"{_TRACKING}.CustomizedMetricSpecification.MetricName",
        f"{_TRACKING}.CustomizedMetricSpecification.Namespace",
        f"{_TRACKING}.CustomizedMetricSpecification.Dimensions.*",
        f"{_TRACKING}.CustomizedMetricSpecification.Statistic",
        f"{_TRACKING}.CustomizedMetricSpecification.Unit",
    ),
    "DeleteScalingPolicy": (*_RESOURCE, "PolicyName"),
    "DescribeScalingPolicies": (*_RESOURCE, "PolicyNames", "MaxResults", "NextToken"),
    "ListMetrics": ("Namespace", "MetricName", "Dimensions.*", "NextToken", "RecentlyActive", "IncludeLinkedAccounts"),
    "SimulatePrincipalPolicy": ("PolicySourceArn", "ActionNames", "ResourceArns", "CallerArn", "MaxItems", "Marker"),
}

_POLICIES = Refusal("there are no policies")

SERVICES_REFUSED: dict[str, dict[str, Refusal]] = {
    "DescribeLogGroups": {
        "accountIdentifiers": _ONE_ACCOUNT,
        "includeLinkedAccounts": _ONE_ACCOUNT,
        "logGroupIdentifiers": Refusal("groups are chosen by prefix or pattern"),
    },
    "GetMetricData": {
        "MetricDataQueries[].Expression": Refusal("there is no metric math and no Metrics Insights"),
        "MetricDataQueries[].Period": Refusal("it is of expressions"),
        "MetricDataQueries[].AccountId": _ONE_ACCOUNT,
    },
    "RegisterScalableTarget": {"Tags": Refusal("scalable targets have no tags")},
    "PutScalingPolicy": {
        "PolicyType": Refusal("target tracking is", frozenset({"StepScaling", "PredictiveScaling"})),
        "StepScalingPolicyConfiguration": Refusal("target tracking is"),
        "PredictiveScalingPolicyConfiguration": Refusal("nothing is predicted"),
        f"{_TRACKING}.PredefinedMetricSpecification.ResourceLabel": Refusal("it is of load balancers"),
        f"{_TRACKING}.CustomizedMetricSpecification.Metrics": Refusal("there is no metric math"),
    },
    "ListMetrics": {
        "IncludeLinkedAccounts": Refusal(_ONE_ACCOUNT.reason, frozenset({True})),
        "OwningAccount": _ONE_ACCOUNT,
    },
    "SimulatePrincipalPolicy": {
        "PolicyInputList": _POLICIES,
        "PermissionsBoundaryPolicyInputList": _POLICIES,
        "PolicyExclusionList": _POLICIES,
        "ResourcePolicy": _POLICIES,
        "ResourceOwner": _POLICIES,
        "ContextEntries": _POLICIES,
        "ResourceHandlingOption": _POLICIES,
    },
}

SERVICES_EFFECTLESS: dict[str, dict[str, str]] = {
    "DescribeLogGroups": {"logGroupClass": "there is one class"},
    "GetLogEvents": {"unmask": "nothing is masked"},
    "FilterLogEvents": {"unmask": "nothing is masked", "interleaved": "events are always interleaved"},
    "RegisterScalableTarget": {
        "RoleARN": "there are no roles to assume; it is echoed",
        "SuspendedState.ScheduledScalingSuspended": "there are no schedules",
    },
    "GetMetricData": {"LabelOptions": "labels hold no times"},
}
