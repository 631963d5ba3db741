"""What a caller is told when a model answered an error: by whom, what, and where there is more."""

from __future__ import annotations

import pytest

from modeldyno.router.refusals import model_error


@pytest.mark.parametrize(
    ("status", "side", "code"), [(415, "client", "CLIENT"), (500, "server", "SERVER"), (0, "server", "SERVER")]
)
def test_an_error_of_the_model_leads_to_the_log_that_there_is(status: int, side: str, code: str) -> None:
    error = model_error("eu-west-1", "churn", "000000000000", status, "ValueError: no")
    assert (error.status, error.code) == (424, "ModelError")
    assert error.body["ErrorCode"] == f"{code}_ERROR_FROM_MODEL"
    text = str(error.body["Message"])
    assert text.startswith(f'Received {side} error ({status}) from primary with message "ValueError: no".')
    assert text.endswith("dyno endpoints churn --region eu-west-1")
