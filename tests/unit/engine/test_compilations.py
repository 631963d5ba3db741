"""Jobs that ask for a compiled model: what a worker does before their trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modeldyno.domain.job import Candidate, CompilationOrder, JobStatus, JobType
from modeldyno.domain.names import compilation_name
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.traffic import Phase, Traffic
from modeldyno.domain.trial import TrialStatus
from tests.unit.domain.builders import a_spec
from tests.unit.engine.world import World

IMAGE = "sagemaker-scikit-learn:1.5"
ORDER = CompilationOrder('{"rows": [1, 4]}', "s3://artifacts/here/")
ONE_WORKER = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}  # one setting a type


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.at(tmp_path) as made:
        yield made


def submit(world: World, *types: str, name: str = "job", **more: Any) -> None:
    given = {"compilation": ORDER, "environment": ONE_WORKER, "image": IMAGE, **more}
    world.submit(name, *types, **given)


def row(world: World, name: str = "job") -> Resource:
    return world.store.resource(Kind.COMPILATION, "us-east-1", compilation_name(name, name))


def said(world: World, name: str = "job") -> list[str]:
    return [line.message for line in world.store.log_lines(name) if line.trial_index is None]


async def test_every_configuration_is_measured_plain_and_compiled(world: World) -> None:
    submit(world, "one", "two")
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    name = compilation_name("job", "job")
    specs = [trial.spec for trial in world.trials()]
    told = [(spec.instance_type.name, spec.compiled and spec.compiled.compilation_job) for spec in specs]
    assert told == [("one", None), ("two", None), ("one", name), ("two", name)]
    assert all(trial.status is TrialStatus.COMPLETED for trial in world.trials())
    plain, _, compiled, _ = world.backend.requests[:4]  # the rest is the run-off
    assert (plain.source.image, compiled.source.image) == (IMAGE, "dyno-onnx-scikit-learn:1.5")
    assert [path.name for path in (plain.model_dir, compiled.model_dir) if path] == ["model", "model"]
    assert plain.model_dir != compiled.model_dir
    assert world.objects.exists(f"s3://artifacts/here/{name}/model.tar.gz")
    assert (row(world).status, row(world).labels) == ("COMPLETED", {"job_id": "job"})
    (request,) = world.compiler.requests
    assert (request.inputs, request.content_type) == ({"rows": (1, 4)}, "text/csv")
    story = [event.message for event in world.store.story(row(world).arn)]
    assert story[0] == "a line of the model"
    assert story[1].startswith(f"Compiled as {name} for dyno-onnx-scikit-learn:1.5: a fake; 1 request")


async def test_a_model_that_cannot_be_compiled_is_measured_plain(world: World) -> None:
    world.compiler.refusal = "an operator is not there"
    submit(world, "one")
    async with world.worker():
        job = await world.ended()
    assert (job.status, len(world.trials())) == (JobStatus.COMPLETED, 1)
    why = "The model is not compiled: an operator is not there. The job goes on with the plain model."
    assert why in said(world)
    assert row(world).status == "FAILED"
    assert row(world).document["failure_reason"] == "an operator is not there"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"compilation": CompilationOrder(None, "s3://a/b")}, "DataInputConfig is not given, in ContainerConfig or"),
        ({"compilation": CompilationOrder("{", "s3://a/b")}, "DataInputConfig is not JSON: "),
        ({"compilation": CompilationOrder('{"x": 4}', "s3://a/b")}, "the shape of x is 4: it must be a list of sizes"),
        ({"compilation": CompilationOrder("{}", "s3://a/b")}, "DataInputConfig names no input"),
        ({"image": "acme/server:1"}, "acme/server:1 is not compiled: scikit-learn, xgboost, pytorch models are"),
        ({"image": "huggingface-pytorch-inference:2.1.0-transformers4.37.0-cpu-py310"}, " is not compiled: "),
        ({"image": "dyno-onnx-scikit-learn:1.5"}, "it is a compiled model already"),
    ],
)
async def test_what_is_not_tried_says_so_in_the_log(world: World, more: dict[str, Any], why: str) -> None:
    submit(world, "one", **more)
    async with world.worker():
        job = await world.ended()
    assert (job.status, len(world.trials())) == (JobStatus.COMPLETED, 1)
    assert any(line.startswith("The model is not compiled: ") and why in line for line in said(world))
    assert world.compiler.requests == []


async def test_an_advanced_job_measures_no_compiled_model(world: World) -> None:
    traffic = Traffic(phases=(Phase(1, 30, 20),))
    spec = a_spec(JobType.ADVANCED, candidates=(Candidate("one"),), traffic=traffic, compilation=ORDER)
    submit(world, spec=spec)
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert any("only Default jobs measure compiled models" in line for line in said(world))


async def test_a_limit_of_tests_holds_for_plain_and_compiled_together(world: World) -> None:
    submit(world, "one", "two", name="three", max_tests=3)
    submit(world, "one", "two", name="full", max_tests=2)
    async with world.worker():
        await world.ended("three")
        await world.ended("full")
    assert [bool(trial.spec.compiled) for trial in world.trials("three")] == [False, False, True]
    assert [bool(trial.spec.compiled) for trial in world.trials("full")] == [False, False]
    assert "The compiled model is not measured: the job is limited to 2 tests." in said(world, "full")


async def test_a_search_goes_on_among_the_plain_ones_beside_compiled_twins_of_its_start(world: World) -> None:
    threads = {"OMP_NUM_THREADS": tuple(map(str, range(1, 7)))}  # twelve configurations for ten tests
    submit(world, "one", "two", ranges=threads)
    async with world.worker():
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED, job.failure_reason
    specs = [trial.spec for trial in world.trials()]
    plain = [spec for spec in specs if spec.compiled is None]
    twins = [(spec.instance_type.name, spec.tuned) for spec in specs if spec.compiled is not None]
    assert len(plain) == 10
    assert len({(spec.instance_type.name, *spec.tuned.items()) for spec in plain}) == 10
    assert twins == [(spec.instance_type.name, spec.tuned) for spec in plain[: len(twins)]]
    assert twins


async def test_nothing_is_measured_while_a_model_is_compiled(world: World) -> None:
    seen: list[int] = []

    async def look() -> None:
        await asyncio.sleep(0.1)
        seen.append(len(world.backend.live))
        assert world.permit.held

    world.compiler.meanwhile = look
    world.submit("other", "one")
    submit(world, "one")
    async with world.worker():
        await world.ended("other")
        await world.ended()
    assert seen == [0]


async def test_a_stopped_job_ends_its_compilation(world: World) -> None:
    world.compiler.meanwhile = lambda: asyncio.sleep(3600)
    submit(world, "one")
    async with world.worker():
        await world.until(lambda: bool(world.compiler.requests))
        world.store.request_stop("us-east-1", "job", world.clock.now())
        job = await world.ended()
    assert job.status is JobStatus.STOPPED
    assert (row(world).status, row(world).document["failure_reason"]) == ("FAILED", "The job was stopped.")


async def test_a_worker_that_was_ended_meanwhile_compiles_again(world: World) -> None:
    world.compiler.meanwhile = lambda: asyncio.sleep(3600)
    submit(world, "one")
    async with world.worker():
        await world.until(lambda: bool(world.compiler.requests))
    assert row(world).status == "INPROGRESS"
    world.compiler.meanwhile = lambda: asyncio.sleep(0)
    async with world.worker():
        job = await world.ended()
    assert (job.status, len(world.compiler.requests)) == (JobStatus.COMPLETED, 2)
    assert [bool(trial.spec.compiled) for trial in world.trials()] == [False, True]


async def test_trials_that_a_crash_kept_from_being_added_are_added_by_the_next_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(world, "one")
    extend = type(world.store).extend_job
    with monkeypatch.context() as patched:
        patched.setattr(type(world.store), "extend_job", lambda *_: False)
        async with world.worker():
            await world.until(lambda: bool(world.compiler.requests) and row(world).status == "COMPLETED")
    assert type(world.store).extend_job is extend
    async with world.worker():
        await world.ended()
    assert [bool(trial.spec.compiled) for trial in world.trials()] == [False, True]
    assert len(world.compiler.requests) == 1


async def test_a_compilation_whose_worker_is_dead_is_taken_over_when_its_lease_is_over(world: World) -> None:
    world.lease_seconds = 60.0
    world.compiler.meanwhile = lambda: asyncio.sleep(3600)
    submit(world, "one")
    async with world.worker("w1"):
        await world.until(lambda: bool(world.compiler.requests))
    world.compiler.meanwhile = lambda: asyncio.sleep(0)
    async with world.worker("w2"):
        job = await world.ended()
    assert job.status is JobStatus.COMPLETED
    assert row(world).document["worker_id"] == "w2"
    assert [bool(trial.spec.compiled) for trial in world.trials()] == [False, True]
