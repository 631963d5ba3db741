"""The SageMaker Python SDK, version 3: ModelBuilder, and the resources of sagemaker-core."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clients.conftest import Client
from tests.e2e.hosting import Hosting

pytestmark = [pytest.mark.client("sdk-v3"), pytest.mark.timeout(900)]


def test_a_built_model_is_right_sized_deployed_and_load_tested(
    client_of: Callable[[str], Client], service: Hosting
) -> None:
    said = client_of("sdk-v3").flow("builder")
    assert said["predicted"] == pytest.approx(said["expected"], rel=1e-4)
    assert said["instance_type"] == "ml.own.large"
    assert len(said["recommended"]) >= 1
    assert (said["status"], said["jobs"], said["steps"]) == ("COMPLETED", ["core"], ["COMPLETED"])
    assert service.client.list_models(NameContains="built")["Models"] == []
    service.clear()
    assert service.client.list_endpoint_configs()["EndpointConfigs"] == []


def test_a_registered_model_is_approved_measured_and_made_a_model(
    client_of: Callable[[str], Client], service: Hosting
) -> None:
    said = client_of("sdk-v3").flow("registry")
    assert said["approval"] == ["PendingManualApproval", "Approved", "looked at"]
    assert said["metadata"] == {"team": "risk"}
    assert said["listed"] == [said["package"]]
    assert said["package"].endswith(":model-package/registry/1")
    assert (said["status"], said["types"]) == ("COMPLETED", ["ml.own.large"])
    assert service.client.list_models(NameContains="of-package")["Models"] == []
