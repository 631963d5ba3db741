"""Additional inference specifications of a package, deployed beside its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modeldyno.domain.job import Candidate, JobStatus, JobType, Specification
from modeldyno.domain.model import ModelSource
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.ports import LoadTarget
from modeldyno.testing.fake_load import FakeServer
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import World, tar_gz


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


async def test_each_specification_has_its_own_model_environment_and_accept(world: World) -> None:
    targets: list[LoadTarget] = []

    def seen(target: LoadTarget) -> FakeServer:
        targets.append(target)
        return FakeServer()

    world.server = seen
    world.objects.put("s3://bucket/small.tar.gz", tar_gz(small_bin=b"s"))
    small = ModelSource("acme/server:1", "s3://bucket/small.tar.gz", {"SIZE": "small"})
    spec = a_spec(
        JobType.ADVANCED,
        candidates=(Candidate("one", {"A": ("1",)}), Candidate("one", {"A": ("1",)}, "small")),
        traffic=Traffic(phases=(Phase(1, 0, 20),)),
        specifications={"small": Specification(small, "text/csv")},
    )
    world.submit(spec=spec)
    async with world.worker():
        await world.ended()
    assert world.job().status is JobStatus.COMPLETED
    own, additional = world.backend.requests
    assert [request.source.model_data_url for request in (own, additional)] == [
        "s3://bucket/model.tar.gz",
        "s3://bucket/small.tar.gz",
    ]
    assert (own.environment, additional.environment) == ({"A": "1"}, {"SIZE": "small", "A": "1"})
    assert [target.accept for target in targets] == [None, "text/csv"]
    assert [trial.spec.specification for trial in world.trials()] == [None, "small"]
    assert own.model_dir != additional.model_dir
