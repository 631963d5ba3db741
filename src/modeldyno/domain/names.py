"""What things are called: ARNs, recommendation ids, endpoint names, and how texts are cut to a field's length."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from modeldyno.domain.resource import Kind

JOB = "inference-recommendations-job"
_ARN = re.compile(r"arn:(aws[a-z-]*):sagemaker:([a-z0-9-]*):([0-9]{12}):([a-z-]+)/(.+)", re.ASCII)
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov"}


@dataclass(frozen=True, slots=True)
class Arn:
    """A SageMaker ARN. `type` is the word before the first slash (``model-package``), `name` all that follows it."""

    partition: str
    region: str
    account: str
    type: str
    name: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{self.type}/{self.name}"


def arn_of(type_: Kind | str, region: str, account: str, name: str) -> str:
    """The ARN of a resource of ours. The partition follows from the region (``cn-north-1`` is in ``aws-cn``)."""
    partition = next((value for prefix, value in _PARTITIONS.items() if region.startswith(f"{prefix}-")), "aws")
    return str(Arn(partition, region, account, str(type_), name))


def parse_arn(text: str) -> Arn | None:
    """The parts of a SageMaker ARN of any account; None when it is none."""
    match = _ARN.fullmatch(text)
    return Arn(*match.groups()) if match else None


def recommendation_id(job_name: str, trial_id: str) -> str:
    r"""``JOB/xxxxxxxx``: the same for the same trial for ever.

    **Source:** the SageMaker Python SDK splits at the slash and expects ``\w{8}`` after it (model.py, deploy).
    """
    return f"{job_name}/{hashlib.sha256(trial_id.encode()).hexdigest()[:8]}"


def endpoint_name(job_name: str, job_id: str, index: int) -> str:
    """The endpoint name of a job's trial: ``sm-epc-JOB-xxxxxx-INDEX``, at most 63 characters (Assumption A-0009).

    **Source:** benchmarks' endpoints begin with ``sm-epc-`` (SageMaker developer guide, log groups); names
    prefixed with a job name are truncated at 40 characters of it (botocore, RecommendationJobName).
    """
    unique = hashlib.sha256(job_id.encode()).hexdigest()[:6]
    return f"sm-epc-{job_name[:40].rstrip('-')}-{unique}-{index}"


def compilation_name(job_name: str, job_id: str) -> str:
    """The name of a job's compilation job: ``JOB-xxxxxx``, at most 63 characters.

    **Source:** names prefixed with a job name, of compilations too, are truncated at 40 characters of it (botocore,
    RecommendationJobName). What follows is not documented (Assumption A-0171).
    """
    unique = hashlib.sha256(f"compilation of {job_id}".encode()).hexdigest()[:6]
    return f"{job_name[:40].rstrip('-')}-{unique}"


def keep_end(text: str, limit: int) -> str:
    """`text` cut to `limit` characters from the front: what went wrong stands at the end. A cut begins with ``...``."""
    return text if len(text) <= limit else "..." + text[len(text) - limit + 3 :]
