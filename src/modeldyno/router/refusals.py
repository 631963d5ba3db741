"""Errors of the data plane, as SageMaker Runtime says them."""

from __future__ import annotations


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, body: dict[str, object]) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.body = body


def refused(status: int, code: str, text: str) -> Refused:
    """An error of Dyno's, or of the request."""
    return Refused(status, code, {"Message": text})


_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)


def timeout_error(region: str, endpoint: str, account: str) -> Refused:
    """**Source:** the text as the service was seen to answer (sagemaker-python-sdk#1119)."""
    return model_error(region, endpoint, account, 0, _TIMED_OUT)


def model_error(region: str, endpoint: str, account: str, status: int, message: str) -> Refused:
    """An error of the model's; `status` 0: it gave no answer.

    **Source:** botocore, SageMaker Runtime shape ModelError; the text as the service was seen to answer, but that it
    leads to the log that there is here.
    """
    side, code = ("client", "CLIENT_ERROR_FROM_MODEL") if 400 <= status < 500 else ("server", "SERVER_ERROR_FROM_MODEL")
    text = (
        f'Received {side} error ({status}) from primary with message "{message}". What its servers wrote '
        f"last is told by: dyno endpoints {endpoint} --region {region}"
    )
    return Refused(
        424,
        "ModelError",
        {
            "ErrorCode": code,
            "LogStreamArn": f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/Endpoints/{endpoint}",
            "Message": text,
            "OriginalMessage": message,
            "OriginalStatusCode": status,
        },
    )
