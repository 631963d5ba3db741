"""Script-mode models as jobs: one that works, and each way in which one does not, told to its author."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import TYPES, Service, running, tar_gz

IMAGE = "111122223333.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.5-1-cpu-py3"
GOOD = """
import numpy

def model_fn(model_dir):
    return open(f"{model_dir}/weights.txt").read()

def predict_fn(data, model):
    print("a line of the handler")
    return numpy.asarray(data) * float(model)
"""
BROKEN = {
    "raises": (
        "def predict_fn(data, model):\n    raise ValueError('bad weather')",
        "100% of invocations failed (http_500",
    ),
    "hangs": ("import time\ndef predict_fn(data, model):\n    time.sleep(3600)", "(timeout x 1)"),
    "cannot-load": ("def model_fn(model_dir):\n    raise OSError('no such weights')", "before /ping answered"),
    "eats-memory": ("def predict_fn(data, model):\n    return len(bytearray(3 * 1024**3))", "out of memory"),
    "has-no-model": ("def predict_fn(data, model):\n    return data", "model_fn"),
}


def archive(script: str) -> bytes:
    return tar_gz({"weights.txt": b"2.5", "code/inference.py": script.encode()})


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    cache = Path(os.environ.get("DYNO_TEST_CACHE", Path(__file__).parents[2] / ".cache"))

    def prepare(made: Service) -> None:
        (cache / "environments").mkdir(parents=True, exist_ok=True)
        (made.data / "cache").mkdir(parents=True)
        (made.data / "cache" / "environments").symlink_to(cache / "environments")
        made.put("bucket/good.tar.gz", archive(GOOD))
        for name, (script, _) in BROKEN.items():
            load = "" if "model_fn" in script or name == "has-no-model" else "def model_fn(model_dir):\n    return 1\n"
            made.put(f"bucket/{name}.tar.gz", archive(load + script))

    config = TYPES + "max_trial_seconds = 8\n"  # how well it is measured is seen elsewhere
    with running(tmp_path_factory.mktemp("scripts"), config=config, prepare=prepare) as started:
        yield started


@pytest.mark.timeout(300)
def test_a_default_job_tunes_the_workers_and_tells_them(service: Service) -> None:
    service.submit("good", IMAGE, "local.one", container={"ModelDataUrl": "s3://bucket/good.tar.gz"})
    job = service.ended("good", 200)
    assert job["Status"] == "COMPLETED", job
    chosen = [
        {item["Key"]: item["Value"] for item in row["ModelConfiguration"]["EnvironmentParameters"]}
        for row in job["InferenceRecommendations"]
    ]
    assert sorted(environment["SAGEMAKER_MODEL_SERVER_WORKERS"] for environment in chosen) == ["1", "2"]
    metrics = job["InferenceRecommendations"][0]["Metrics"]
    assert metrics["CpuUtilization"] > 1
    assert metrics["MemoryUtilization"] > 1
    log = (service.data / "logs" / "us-east-1" / "good" / "trial-0.log").read_text()
    assert "a line of the handler" in log


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_model_fails_with_what_its_author_needs_to_know(service: Service, name: str) -> None:
    model = {"ModelDataUrl": f"s3://bucket/{name}.tar.gz"}
    environment = {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
    service.submit(name, IMAGE, "local.one", container=model, environment=environment)
    job = service.ended(name)
    assert job["Status"] == "FAILED"
    assert BROKEN[name][1] in job["FailureReason"], job["FailureReason"]
    told = {"raises": "ValueError: bad weather", "cannot-load": "no such weights"}
    assert told.get(name, "") in job["FailureReason"]
