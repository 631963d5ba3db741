"""The SageMaker Python SDK, version 2, from a trained model to the predictions of what was recommended."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clients.conftest import Client
from tests.e2e.hosting import Hosting
from tests.e2e.service import until

pytestmark = [pytest.mark.client("sdk-v2"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def sdk(client_of: Callable[[str], Client]) -> Client:
    return client_of("sdk-v2")


def test_a_regression_is_right_sized_deployed_and_removed(sdk: Client, service: Hosting) -> None:
    said = sdk.flow("regression")
    assert said["predicted"] == pytest.approx(said["expected"], rel=1e-4)
    assert said["instance_type"] == "ml.own.large"
    assert len(said["recommended"]) >= 1
    assert all("SAGEMAKER_MODEL_SERVER_WORKERS" in {one["Key"] for one in row} for row in said["recommended"])
    assert "Planned 2 trials." in said["output"]
    assert "COMPLETED." in said["output"]
    until(lambda: service.client.list_endpoints(NameContains=said["endpoint"])["Endpoints"] == [], 30)
    assert service.client.list_models(NameContains=said["model"])["Models"] == []
