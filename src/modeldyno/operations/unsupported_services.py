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
}

SERVICES_REFUSED: dict[str, dict[str, Refusal]] = {
    "DescribeLogGroups": {
        "accountIdentifiers": _ONE_ACCOUNT,
        "includeLinkedAccounts": _ONE_ACCOUNT,
        "logGroupIdentifiers": Refusal("groups are chosen by prefix or pattern"),
    },
}

SERVICES_EFFECTLESS: dict[str, dict[str, str]] = {
    "DescribeLogGroups": {"logGroupClass": "there is one class"},
    "GetLogEvents": {"unmask": "nothing is masked"},
    "FilterLogEvents": {"unmask": "nothing is masked", "interleaved": "events are always interleaved"},
}
