"""Who the caller is (STS), and what a role is (IAM): there are no roles here, so every one is answered alike.

The identity is an assumed role, as of a SageMaker notebook: ``sagemaker.get_execution_role()`` then finds a role's ARN,
which every operation takes. **Source:** sagemaker-python-sdk, Session.get_caller_identity_arn. Assumption A-0096.
"""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote

from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, name

ROLE = "dyno"
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


def _role_id(role: str) -> str:
    """``AROA`` and 17 characters that follow from the name."""
    return f"AROA{hashlib.sha256(role.encode()).hexdigest()[:17].upper()}"
