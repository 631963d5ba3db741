"""The SageMaker Python SDK, version 2: load tests, recommendations by id, packages, and other frameworks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.clients.conftest import Client

pytestmark = [pytest.mark.client("sdk-v2"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def sdk(client_of: Callable[[str], Client]) -> Client:
    return client_of("sdk-v2")


def test_a_load_test_a_recommendation_by_its_id_and_a_package(sdk: Client) -> None:
    said = sdk.flow("advanced")
    assert said["job_type"] == "Advanced"
    assert said["stopping"]["MaxInvocations"] == 100_000
    assert said["workers"] == ["1", "2"]
    chosen = {one["Key"]: one["Value"] for one in said["best"]}
    assert chosen.items() <= said["environment"].items()
    assert said["by_id"] == pytest.approx(said["expected"], rel=1e-4)
    assert said["packaged"] == pytest.approx(said["expected"], rel=1e-4)
    assert said["package"].endswith(":model-package/diabetes/1")
    assert said["measured"] == said["package"]
    assert said["recommended_type"] == "ml.own.large"
    assert said["approval"] == "Approved"  # the SDK approves what it deploys


def test_xgboost_with_a_script(sdk: Client) -> None:
    said = sdk.flow("boosted")
    assert said["predicted"] == pytest.approx(said["expected"], rel=1e-4)


def test_pytorch_with_a_handler(sdk: Client) -> None:
    said = sdk.flow("handler")
    assert [one["label"] for one in said["predicted"]] == ["NEGATIVE", "POSITIVE"]
    assert said["predicted"][1]["score"] == pytest.approx(0.99753, abs=1e-4)
