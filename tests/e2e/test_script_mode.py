"""Script mode, whole: an environment with a real scikit-learn, a model trained in it, served under limits."""

import asyncio
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modeldyno.domain.catalog import InstanceType
from modeldyno.domain.errors import ModelFault
from modeldyno.domain.images import Framework
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.instances.environments import Environments
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import DeployRequest, Tag

VERSION = "1.5"
IMAGE = f"683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:{VERSION}-1-cpu-py3"
MEMORY_BYTES = 1024**3
# Kept from run to run: building takes longer than all of these tests together.
CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache" / "environments")

TRAIN = """
import sys, joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
rows, species = load_iris(return_X_y=True)
joblib.dump(LogisticRegression(max_iter=500).fit(rows, species), sys.argv[1])
"""

SCRIPT = """
import os, time, joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))

def predict_fn(rows, model):
    if rows[0][0] == -1:
        os._exit(4)
    if rows[0][0] == -2:
        time.sleep(60)
    return model.predict(rows)
"""


@pytest.fixture(scope="session")
def environments():
    return Environments(CACHE, {})


@pytest.fixture(scope="session")
def trained(environments, tmp_path_factory):
    """A model's file, written by the library that will read it."""
    path = tmp_path_factory.mktemp("trained") / "model.joblib"
    python = asyncio.run(environments.python_for(Framework.SCIKIT_LEARN, VERSION))
    subprocess.run([python, "-c", TRAIN, path], check=True)
    return path


@pytest.fixture
def model_dir(trained, tmp_path):
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(SCRIPT)
    shutil.copy(trained, code.parent)
    return code.parent


@pytest.fixture
def deployed(environments, model_dir, tmp_path):
    """Deploy the model; the variables are what a user sets."""
    backend = ProcessBackend(tmp_path / "instances", environments.prepare)
    kind = InstanceType("local.1cpu", 1, MEMORY_BYTES // 1024**2)

    @asynccontextmanager
    async def deploy(**environment):
        request = DeployRequest(
            Tag("e2e", "worker", "trial", 1),
            TrialSpec(0, "sm-epc-test", kind),
            Placement(backend.host().cores[-1:], MEMORY_BYTES),
            ModelSource(IMAGE, "s3://bucket/model.tar.gz"),
            model_dir,
            None,
            environment,
            tmp_path / "log",
            60.0,
        )
        async with backend.deploy(request) as instance:
            yield instance

    return deploy


async def invoke(instance, body, content_type="text/csv", accept="application/json"):
    """The status and the body of the answer."""

    def call():
        headers = {"Content-Type": content_type, "Accept": accept}
        request = urllib.request.Request(instance.url + "/invocations", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(call)


async def test_a_model_is_served_by_the_library_that_trained_it(deployed):
    async with deployed() as instance:
        assert instance.runtime.startswith("scikit-learn 1.5.")
        assert instance.runtime.endswith("script mode, 1 worker")
        assert instance.effective_environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}
        assert await invoke(instance, b"5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n") == (200, "[0, 2]")
        status, text = await invoke(instance, json.dumps([[5.1, 3.5, 1.4, 0.2]]).encode(), "application/json")
        assert (status, json.loads(text)) == (200, [0])
        assert (await invoke(instance, b"\x89PNG", "image/png"))[0] == 415
        assert (await invoke(instance, b"5.1,3.5,1.4,0.2", accept="image/png"))[0] == 406
        status, text = await invoke(instance, b"1,2")
        assert (status, text.startswith("ValueError: X has 2 features")) == (500, True)
        assert "Traceback" in instance.log_tail()


async def test_workers_and_threads_are_as_set(deployed):
    async with deployed(SAGEMAKER_MODEL_SERVER_WORKERS="2", OMP_NUM_THREADS="1") as instance:
        assert instance.runtime.endswith("2 workers")
        assert instance.effective_environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "OMP_NUM_THREADS": "1"}
        assert (await invoke(instance, b"5.1,3.5,1.4,0.2"))[0] == 200


async def test_a_worker_that_ends_or_hangs_costs_one_request(deployed):
    async with deployed(SAGEMAKER_MODEL_SERVER_TIMEOUT="0.5") as instance:
        status, text = await invoke(instance, b"-1,0,0,0")
        assert (status, "exited with status 4" in text) == (500, True)
        assert (await invoke(instance, b"5.1,3.5,1.4,0.2"))[0] == 200
        assert (await invoke(instance, b"-2,0,0,0"))[0] == 504
        assert (await invoke(instance, b"5.1,3.5,1.4,0.2"))[0] == 200
        assert instance.death() is None


async def test_a_model_that_cannot_be_loaded_fails_at_once_with_its_log(deployed, model_dir):
    (model_dir / "model.joblib").write_bytes(b"not a pickle")
    with pytest.raises(ModelFault) as caught:
        async with deployed():
            pass
    assert "exited with status 1" in caught.value.reason
    assert "The model could not be loaded" in caught.value.log_tail
    assert "Traceback" in caught.value.log_tail
