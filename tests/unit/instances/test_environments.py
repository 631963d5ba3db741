"""Which program a request runs, and its environment: built by the real uv from small wheels beside the index."""

import asyncio
import contextlib
import os
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from modeldyno.domain.catalog import Accelerator, InstanceType
from modeldyno.domain.errors import InputFault
from modeldyno.domain.images import Framework
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import Flag, TrialSpec
from modeldyno.instances.environments import Environments, OwnRuntime
from modeldyno.instances.environments_recipes import RUNTIME_PINS

SCRIPT = "def model_fn(model_dir): return 1\n"
PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"


def write_wheel(folder, name, version, tag="py3-none-any", needs=(), extra=None):
    """A wheel with nothing but its name in it, and the `extra` files."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {need}\n" for need in needs)
    files = {
        f"{name.replace('-', '_')}.py": f"version = {version!r}\n",
        **(extra or {}),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{stem}-{tag}.whl", "w") as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for pin in (*RUNTIME_PINS, "scipy==1.10.0", "joblib==1.0.0", "numpy==1.26.0", "numpy==2.0.0", "pandas==2.2.0"):
        write_wheel(folder, *pin.split("=="))
    for pin in ("skl2onnx==1.19.0", "onnx==1.20.0", "onnxruntime==1.22.0"):
        write_wheel(folder, *pin.split("=="))
    for version in ("1.1.1", "1.1.3", "1.5.0", "1.5.2", "1.6.0"):
        write_wheel(folder, "scikit-learn", version)
    write_wheel(folder, "scikit-learn", "1.0.2", "cp27-none-any")  # for another Python
    write_wheel(folder, "torch", "2.13.0+cpu")
    write_wheel(folder, "transformers", "4.37.0")
    write_wheel(folder, "xgboost", "2.0.0", needs=["nvidia-nccl-cu12"])  # which is not there, nor needed
    return folder


@pytest.fixture
def offline(wheels, monkeypatch):
    """uv sees these wheels and no index."""
    (wheels / "uv.toml").write_text("no-index = true\n")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_CONFIG_FILE", str(wheels / "uv.toml"))


@pytest.fixture
def environments(offline, tmp_path):
    return Environments(tmp_path / "cache", {})


@pytest.fixture
def model_dir(tmp_path):
    code = tmp_path / "model" / "code"
    code.mkdir(parents=True)
    (code / "inference.py").write_text(SCRIPT)
    return code.parent


def of(version=None, framework="SAGEMAKER-SCIKIT-LEARN", image=None):
    return ModelSource(image, None, framework=framework, framework_version=version)


def installed(prepared, name):
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([prepared.command[0], "-c", code], capture_output=True, text=True, check=True).stdout.strip()


async def test_an_environment_has_the_newest_patch_of_the_minor_that_was_asked_for(environments, ask, model_dir):
    prepared = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert installed(prepared, "scikit-learn") == "1.5.2"
    assert prepared.description == f"scikit-learn 1.5.2 on {PYTHON}, script mode, 1 worker"
    assert prepared.flags == {}
    assert prepared.command[-2:] == ("--framework", "scikit-learn")


async def test_an_exact_patch_is_honoured_and_no_version_is_the_newest(environments, ask, model_dir):
    exact = await environments.prepare(ask(source=of("1.5.0"), model_dir=model_dir))
    newest = await environments.prepare(ask(source=of(None), model_dir=model_dir))
    assert [installed(exact, "scikit-learn"), installed(newest, "scikit-learn")] == ["1.5.0", "1.6.0"]


@pytest.mark.parametrize(("asked", "got"), [("1.0", "1.1.3"), ("1.3", "1.5.2"), ("1.5.7", "1.5.2"), ("9.9", "1.6.0")])
async def test_a_version_without_a_wheel_here_becomes_the_nearest_and_says_so(environments, ask, model_dir, asked, got):
    prepared = await environments.prepare(ask(source=of(asked), model_dir=model_dir))
    assert installed(prepared, "scikit-learn") == got
    assert prepared.flags[Flag.VERSION_NEAREST].startswith(
        f"scikit-learn {asked} was asked for; {got} is the nearest that can be installed for {PYTHON} here"
    )


async def test_an_old_version_gets_the_numpy_of_its_time(environments, ask, model_dir):
    old = await environments.prepare(ask(source=of("1.1"), model_dir=model_dir))
    new = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert [installed(old, "numpy"), installed(new, "numpy")] == ["1.26.0", "2.0.0"]


async def test_without_a_gpu_xgboost_comes_without_cuda(environments, ask, model_dir):
    prepared = await environments.prepare(ask(source=of("2.0", "XGBOOST"), model_dir=model_dir))
    assert installed(prepared, "xgboost") == "2.0.0"
    assert prepared.description.endswith(", script mode, 1 worker")


async def test_a_booster_without_a_script_is_served_by_the_built_in_algorithm_with_one_thread(
    environments, ask, tmp_path
):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "xgboost-model").write_bytes(b"")
    request = {"source": of("2.0", "XGBOOST"), "model_dir": tmp_path / "bare"}
    prepared = await environments.prepare(ask(**request))
    assert prepared.description == f"XGBoost 2.0.0 on {PYTHON}, built-in algorithm, 1 worker"
    assert prepared.environment["OMP_NUM_THREADS"] == prepared.effective_environment["OMP_NUM_THREADS"] == "1"
    chosen = await environments.prepare(ask(**request, environment={"OMP_NUM_THREADS": "4"}))
    assert chosen.effective_environment["OMP_NUM_THREADS"] == "4"


async def test_a_compiled_model_runs_beside_its_framework_with_onnx_runtime(environments, ask, model_dir):
    compiled = await environments.prepare(ask(source=of(image="dyno-onnx-scikit-learn:1.5"), model_dir=model_dir))
    title = f"scikit-learn 1.5.2 with ONNX Runtime 1.22.0 on {PYTHON}"
    assert compiled.description == f"{title}, script mode, compiled, 1 worker"
    assert compiled.command[-3:] == ("--framework", "scikit-learn", "--compiled")
    assert installed(compiled, "skl2onnx") == "1.19.0"
    plain = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert plain.command[0] != compiled.command[0]


async def test_hugging_face_brings_the_torch_of_its_image(environments, ask, model_dir):
    image = (
        "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.1.0-transformers4.37.0-cpu-py310"
    )
    prepared = await environments.prepare(ask(source=of(image=image), model_dir=model_dir))
    assert prepared.description.startswith("transformers 4.37.0 with PyTorch 2.13.0+cpu")
    assert "PyTorch 2.1.0 was asked for; 2.13.0+cpu is the nearest" in prepared.flags[Flag.VERSION_NEAREST]


async def test_the_same_content_is_built_once_even_when_asked_for_twice_at_once(environments, ask, model_dir):
    said = []

    async def say(text):
        said.append(text)

    request = ask(source=of("1.5"), model_dir=model_dir, on_progress=say)
    first, second = await asyncio.gather(environments.prepare(request), environments.prepare(request))
    third = await environments.prepare(request)
    assert first == second == third
    assert said == [
        f"Building the environment of scikit-learn 1.5 on {PYTHON}: once, then it is kept.",
        "Built the environment of scikit-learn 1.5.2.",
    ]


async def test_requirements_of_the_script_are_installed_on_top_and_make_another_environment(
    environments, ask, model_dir, wheels
):
    plain = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    (model_dir / "code" / "requirements.txt").write_text("scikit-learn==1.6.0\n")
    upgraded = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert installed(upgraded, "scikit-learn") == "1.6.0"
    assert upgraded.description.startswith("scikit-learn 1.6.0")
    assert installed(plain, "scikit-learn") == "1.5.2"


async def test_requirements_may_name_files_beside_them_and_follow_their_content(environments, ask, model_dir):
    code = model_dir / "code"
    write_wheel(code, "own", "1.0")
    (code / "requirements.txt").write_text("./own-1.0-py3-none-any.whl\n")
    first = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert installed(first, "own") == "1.0"
    (code / "helper.py").write_text("changed = True\n")
    second = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert second.command[0] != first.command[0]


async def test_a_requirement_that_cannot_be_had_is_named_and_nothing_is_left(environments, ask, model_dir, tmp_path):
    (model_dir / "code" / "requirements.txt").write_text("no-such-thing==1\n")
    with pytest.raises(InputFault, match=r"requirements\.txt cannot be installed: .*no-such-thing"):
        await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]


async def test_an_index_that_cannot_be_reached_is_told(ask, model_dir, tmp_path, monkeypatch):
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(InputFault, match=r"scikit-learn 1\.5 cannot be installed here: .*http://127\.0\.0\.1:1/simple"):
        await Environments(tmp_path / "cache", {}).prepare(ask(source=of("1.5"), model_dir=model_dir))


async def test_a_build_that_is_cancelled_leaves_no_process_and_no_environment(ask, model_dir, tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as index:  # an index that never answers
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.getsockname()[1]}/simple")
        index.setblocking(False)
        request = ask(source=of("1.5"), model_dir=model_dir)
        building = asyncio.ensure_future(Environments(tmp_path / "cache", {}).prepare(request))
        connection, _ = await asyncio.get_running_loop().sock_accept(index)
        with connection:
            building.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await building
    assert building.cancelled()
    assert [child.name() for child in psutil.Process().children(recursive=True) if "uv" in child.name()] == []
    assert [entry.suffix for entry in (tmp_path / "cache").iterdir()] == [".lock"]


async def test_the_interpreter_of_a_framework_is_the_one_that_will_serve(environments, ask, model_dir):
    python = await environments.python_for(Framework.SCIKIT_LEARN, "1.5")
    prepared = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert str(python) == prepared.command[0]


async def test_another_user_may_read_everything_that_is_needed(environments, ask, model_dir, tmp_path):
    before = os.umask(0o077)
    try:
        prepared = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    finally:
        os.umask(before)
    ours = [path for path in prepared.readable if path.is_relative_to(tmp_path)]
    assert len(ours) == 2
    for root in [tmp_path / "cache", *ours]:
        for path in [root, *(root.rglob("*") if root in ours else ())]:
            if not path.is_symlink():
                wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
                assert path.stat().st_mode & wanted == wanted, path


async def test_workers_are_one_for_each_vcpu_unless_set(environments, ask, model_dir):
    half = TrialSpec(0, "sm-epc-test", InstanceType("local.1500m", 1.5, 64))
    by_size = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir, spec=half))
    assert by_size.environment == by_size.effective_environment == {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
    wish = {"SAGEMAKER_MODEL_SERVER_WORKERS": "3", "OMP_NUM_THREADS": "1"}
    as_set = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir, environment=wish))
    assert as_set.effective_environment == wish
    assert as_set.description.endswith("3 workers")
    with pytest.raises(InputFault, match=r"SAGEMAKER_MODEL_SERVER_WORKERS is '0'"):
        await environments.prepare(
            ask(source=of("1.5"), model_dir=model_dir, environment={"SAGEMAKER_MODEL_SERVER_WORKERS": "0"})
        )


async def test_a_model_without_a_script_is_refused_before_anything_is_built(environments, ask, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputFault, match=r"no code/serve\.py\. scikit-learn needs a script"):
        await environments.prepare(
            ask(source=of("1.5"), model_dir=tmp_path / "empty", environment={"SAGEMAKER_PROGRAM": "serve.py"})
        )
    booster = of(image="sagemaker-xgboost:1.7-1")
    with pytest.raises(InputFault, match="no script, and no file beside its directories that could be a booster"):
        await environments.prepare(ask(source=booster, model_dir=tmp_path / "empty"))
    named = {"SAGEMAKER_PROGRAM": "train"}
    with pytest.raises(InputFault, match=r"no code/train\.py\. XGBoost needs a script"):
        await environments.prepare(ask(source=booster, model_dir=tmp_path / "empty", environment=named))
    assert not (tmp_path / "cache").exists()


async def test_sources_of_their_own_are_where_the_script_is_looked_for(environments, ask, model_dir, tmp_path):
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "entry.py").write_text(SCRIPT)
    variables = {"SAGEMAKER_PROGRAM": "entry.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bucket/sources.tar.gz"}
    await environments.prepare(ask(source=of("1.5"), model_dir=model_dir, code_dir=sources, environment=variables))
    variables["SAGEMAKER_SUBMIT_DIRECTORY"] = "/opt/ml/model/code"
    with pytest.raises(InputFault, match=r"no code/entry\.py"):
        await environments.prepare(ask(source=of("1.5"), model_dir=model_dir, environment=variables))


async def test_a_mapped_image_runs_the_users_command(ask, tmp_path):
    own = OwnRuntime(("sh", "-c", "serve"), {"WORKERS": "4", "OTHER": "x"}, "WORKERS")
    environments = Environments(tmp_path / "cache", {"acme/server:1": own})
    prepared = await environments.prepare(ask(source=of(image="acme/server:1")))
    assert Path(prepared.command[0]).is_absolute()
    assert prepared.command[1:] == ("-c", "serve")
    assert prepared.environment == {"WORKERS": "4", "OTHER": "x"}
    assert prepared.effective_environment == {"WORKERS": "4"}
    chosen = await environments.prepare(ask(source=of(image="acme/server:1"), environment={"WORKERS": "2"}))
    assert chosen.effective_environment == {"WORKERS": "2"}


async def test_a_command_that_is_not_there_is_refused_by_name(ask, tmp_path):
    environments = Environments(tmp_path / "cache", {"acme/server:1": OwnRuntime(("/no/such/server",))})
    with pytest.raises(InputFault, match=r'\[runtimes\."acme/server:1"\].*/no/such/server is not there'):
        await environments.prepare(ask(source=of(image="acme/server:1")))


async def test_on_a_machine_with_a_gpu_another_environment_is_built(environments, ask, model_dir):
    gpu = InstanceType("local.gpu", 1, 64, accelerators=(Accelerator("gpu", "NVIDIA", 1, None),))
    without = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    with_gpu = await environments.prepare(
        ask(source=of("1.5"), model_dir=model_dir, spec=TrialSpec(0, "sm-epc-test", gpu))
    )
    assert without.command[0] != with_gpu.command[0]
