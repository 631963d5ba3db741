"""Every compiler passes the port's contract suite."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from modeldyno.domain.errors import InputFault, ModelFault
from modeldyno.domain.images import Framework
from modeldyno.domain.model import ModelSource
from modeldyno.instances.compiler import ProcessCompiler
from modeldyno.instances.environments import Environments
from modeldyno.instances.process import ProcessBackend
from modeldyno.ports import CompileRequest, Tag
from modeldyno.testing.contracts.compiling import CompilerContract
from modeldyno.testing.fake_compiler import FakeCompiler

CACHE = Path(os.environ.get("DYNO_TEST_CACHE") or Path(__file__).parents[2] / ".cache" / "environments")
TRAIN = """
import sys, joblib, numpy
from sklearn.linear_model import LinearRegression
joblib.dump(LinearRegression().fit(numpy.eye(3), [1.0, 2.0, 3.0]), sys.argv[1])
"""
SCRIPT = """
import joblib, os, time

def model_fn(model_dir):
    print("a line of the model")
    return joblib.load(f"{model_dir}/model.joblib")
"""


@pytest.fixture
def good(tmp_path):
    for name in ("model/code", "payload"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(SCRIPT)
    (tmp_path / "payload" / "a.csv").write_text("1,2,3\n4,5,6\n")
    return CompileRequest(
        tag=Tag(f"contract-{os.getpid()}", "worker", "compilation", 1),
        source=ModelSource("sagemaker-scikit-learn:1.5", None),
        model_dir=tmp_path / "model",
        code_dir=None,
        payload_dir=tmp_path / "payload",
        content_type="text/csv",
        accept=None,
        inputs={"rows": (1, 3)},
        target=tmp_path / "compiled.tar.gz",
        log_path=tmp_path / "log",
        limit_seconds=60.0,
    )


class TestFakeCompiler(CompilerContract):
    @pytest.fixture
    def compiler(self):
        return FakeCompiler()

    @pytest.fixture
    def bad(self, good, compiler):
        compiler.refusal = "it is told to refuse"
        return good


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "model.joblib"
    python = asyncio.run(Environments(CACHE, {}).python_for(Framework.SCIKIT_LEARN, "1.5"))
    subprocess.run([python, "-c", TRAIN, path], check=True)
    return path


@pytest.mark.timeout(300)
class TestProcessCompiler(CompilerContract):
    @pytest.fixture
    def instances(self, tmp_path):
        return tmp_path / "instances"

    @pytest.fixture
    def compiler(self, instances):
        environments = Environments(CACHE, {})
        return ProcessCompiler(ProcessBackend(instances, environments.prepare), environments)

    @pytest.fixture
    def good(self, good, trained):
        (good.model_dir / "model.joblib").write_bytes(trained.read_bytes())
        return good

    @pytest.fixture
    def bad(self, good):
        return replace(good, inputs={"rows": (1, 7)})

    async def test_nothing_is_left_of_it_on_the_host(self, compiler, good, instances):
        await compiler.compile(good)
        assert list(instances.iterdir()) == []
        assert "a line of the model" in good.log_path.read_text()

    async def test_one_that_takes_too_long_is_ended_and_told(self, compiler, good, instances):
        script = good.model_dir / "code" / "inference.py"
        script.write_text(SCRIPT.replace("    return", "    time.sleep(3600)\n    return"))
        with pytest.raises(ModelFault, match="the compilation took longer than 2 s") as caught:
            await compiler.compile(replace(good, limit_seconds=2.0))
        assert "a line of the model" in caught.value.log_tail
        assert list(instances.iterdir()) == []

    async def test_one_that_ends_itself_is_told(self, compiler, good):
        script = good.model_dir / "code" / "inference.py"
        script.write_text(SCRIPT.replace("    return", "    os._exit(7)\n    return"))
        with pytest.raises(ModelFault, match="the compilation exited with status 7"):
            await compiler.compile(good)

    async def test_a_link_in_the_place_of_the_graph_is_not_followed(self, compiler, good, tmp_path):
        (tmp_path / "secret").write_text("not the model's")
        script = good.model_dir / "code" / "inference.py"
        swap = f"os.unlink('model.onnx'), os.symlink({str(tmp_path / 'secret')!r}, 'model.onnx')"
        link = f"    import atexit\n    atexit.register(lambda: ({swap}))\n"
        script.write_text(SCRIPT.replace("    return", f"{link}    return"))
        with pytest.raises(InputFault, match=r"left no model\.onnx"):
            await compiler.compile(good)
        assert not good.target.exists()
