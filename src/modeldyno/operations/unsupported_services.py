"""What requests to the services beside SageMaker may hold: see `unsupported`."""

from __future__ import annotations

from modeldyno.operations.refusals import Refusal

_ONE_ACCOUNT = Refusal("there is one account")

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
    "ListMetrics": ("Namespace", "MetricName", "Dimensions.*", "NextToken", "RecentlyActive", "IncludeLinkedAccounts"),
}

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
    "ListMetrics": {
        "IncludeLinkedAccounts": Refusal(_ONE_ACCOUNT.reason, frozenset({True})),
        "OwningAccount": _ONE_ACCOUNT,
    },
}

SERVICES_EFFECTLESS: dict[str, dict[str, str]] = {
    "DescribeLogGroups": {"logGroupClass": "there is one class"},
    "GetLogEvents": {"unmask": "nothing is masked"},
    "FilterLogEvents": {"unmask": "nothing is masked", "interleaved": "events are always interleaved"},
    "GetMetricData": {"LabelOptions": "labels hold no times"},
}
