from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from modeldyno.domain.catalog import Catalogue, InstanceType, PriceBasis
from modeldyno.operations.context import Context
from modeldyno.operations.dispatch import call as dispatch
from modeldyno.ports import Store
from modeldyno.store.sql import open_store
from tests.requests import IMAGE, ROLE

_regions = itertools.count(1)


class TickingClock:
    """Every look is a millisecond later."""

    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def now(self) -> float:
        self.seconds += 0.001
        return self.seconds

    def monotonic(self) -> float:
        return self.now()

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class CountingEntropy:
    def __init__(self) -> None:
        self.drawn = 0

    def token(self, length: int) -> str:
        self.drawn += 1
        return f"{next(_regions)}x{self.drawn}".rjust(length, "0")

    def seed(self) -> int:
        return 7


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("operations")
    store = open_store(f"sqlite:///{path}/dyno.sqlite", migrate=True, now=0.0, backup_dir=path)
    yield store
    store.close()


@pytest.fixture
def context(store: Store) -> Context:
    """A region of its own: nothing of another test is in it."""
    names = ("ml.c5.large", "ml.c5.xlarge", "ml.m5.large", "ml.t2.medium", "local.2cpu")
    types = {name: InstanceType(name, 2.0, 4096, usd_per_hour=0.1, price_basis=PriceBasis.LISTED) for name in names}
    return Context(
        region=f"test-east-{next(_regions)}",
        account="000000000000",
        store=store,
        clock=TickingClock(),
        entropy=CountingEntropy(),
        catalogue=Catalogue(types),
        runtimes=frozenset({"acme/server:1"}),
    )


Call = Callable[..., dict[str, Any]]


@pytest.fixture
def call(context: Context) -> Call:
    def calling(operation: str, *, strict: bool = False, **params: Any) -> dict[str, Any]:
        used = replace(context, documented_limits=True) if strict else context
        return dispatch(used, operation, params)

    return calling


@pytest.fixture
def model(call: Call) -> str:
    call(
        "CreateModel",
        ModelName="iris",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz", "Environment": {"A": "1"}},
    )
    return "iris"


@pytest.fixture
def container_config() -> dict[str, Any]:
    return {
        "Domain": "MACHINE_LEARNING",
        "Task": "CLASSIFICATION",
        "Framework": "SAGEMAKER-SCIKIT-LEARN",
        "FrameworkVersion": "1.2-1",
        "PayloadConfig": {
            "SamplePayloadUrl": "s3://bucket/payload.tar.gz",
            "SupportedContentTypes": ["text/csv"],
        },
        "SupportedInstanceTypes": ["ml.c5.large", "ml.m5.large"],
    }


@pytest.fixture
def default_job(model: str, container_config: dict[str, Any]) -> dict[str, Any]:
    return {
        "JobName": "job",
        "JobType": "Default",
        "RoleArn": ROLE,
        "InputConfig": {"ModelName": model, "ContainerConfig": container_config},
    }


@pytest.fixture
def advanced_job(default_job: dict[str, Any]) -> dict[str, Any]:
    default_job["JobType"] = "Advanced"
    default_job["InputConfig"] |= {
        "EndpointConfigurations": [
            {
                "InstanceType": "ml.c5.large",
                "EnvironmentParameterRanges": {
                    "CategoricalParameterRanges": [{"Name": "OMP_NUM_THREADS", "Value": ["1", "2", "1"]}]
                },
            },
            {"InstanceType": "local.2cpu"},
        ],
        "TrafficPattern": {
            "TrafficType": "PHASES",
            "Phases": [
                {"InitialNumberOfUsers": 1, "SpawnRate": 2, "DurationInSeconds": 120},
                {"InitialNumberOfUsers": 5, "SpawnRate": 0, "DurationInSeconds": 120},
            ],
        },
    }
    return default_job


@pytest.fixture
def package(call: Call, package_request: dict[str, Any]) -> str:
    """The ARN of version 1 of the group ``grp``."""
    call("CreateModelPackageGroup", ModelPackageGroupName="grp")
    arn = call("CreateModelPackage", ModelPackageGroupName="grp", **package_request)["ModelPackageArn"]
    return str(arn)
