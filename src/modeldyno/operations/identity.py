"""Who the caller is (STS), and what a role is (IAM): there are no roles here, so every one is answered alike.

The identity is an assumed role, as of a SageMaker notebook: ``sagemaker.get_execution_role()`` then finds a role's ARN,
which every operation takes. **Source:** sagemaker-python-sdk, Session.get_caller_identity_arn. Assumption A-0096.
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

from modeldyno.domain.errors import InvalidRequest
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, integer, name, text, texts
from modeldyno.operations.unsupported import refuse_unsupported

ROLE = "dyno"
_MOST_RESULTS = 100
"""Of a page. **Source:** botocore, IAM, SimulatePrincipalPolicy MaxItems."""
_ASSUMED_BY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def get_caller_identity(context: Context, params: Shape) -> Shape:
    """The account, and the role as which everybody acts; its session is named after the caller's key."""
    return {
        "UserId": f"{_role_id(ROLE)}:{context.caller}",
        "Account": context.account,
        "Arn": f"arn:aws:sts::{context.account}:assumed-role/{ROLE}/{context.caller}",
    }


def get_role(context: Context, params: Shape) -> Shape:
    """The role of that name, whatever it is: it has no rights, and none are needed. Its time of creation is that of
    nothing: the beginning of 1970."""
    role = name(params, "RoleName")
    return {
        "Role": {
            "Path": "/",
            "RoleName": role,
            "RoleId": _role_id(role),
            "Arn": f"arn:aws:iam::{context.account}:role/{role}",
            "CreateDate": 0.0,
            "AssumeRolePolicyDocument": quote(json.dumps(_ASSUMED_BY)),
            "Description": "Dyno has no roles: every name is answered like this.",
        }
    }


def simulate_principal_policy(context: Context, params: Shape) -> Shape:
    """Every action is allowed to every role: there are no rights to lack. Version 3 of the SageMaker Python SDK asks
    before it creates a model. **Source:** sagemaker-core, helper/iam_role_resolver.py."""
    refuse_unsupported("SimulatePrincipalPolicy", params)
    resources = texts(params, "ResourceArns") or ["*"]
    found = [(action, resource) for action in texts(params, "ActionNames") for resource in resources]
    marker = text(params, "Marker") or "0"
    if not marker.isascii() or not marker.isdigit():
        raise InvalidRequest(f"Marker is {marker!r}: it must be the one of the page before.")
    start = int(marker)
    end = start + (integer(params, "MaxItems") or _MOST_RESULTS)
    rows = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
        for action, resource in found[start:end]
    ]
    more = end < len(found)
    return {"EvaluationResults": rows, "IsTruncated": more, "Marker": str(end) if more else None}


def _role_id(role: str) -> str:
    """``AROA`` and 17 characters that follow from the name."""
    return f"AROA{hashlib.sha256(role.encode()).hexdigest()[:17].upper()}"
