"""What a script's requirements.txt may do to the host on which its environment is built."""

import pytest

from modeldyno.domain.errors import InputFault
from modeldyno.instances.environments import Environments
from modeldyno.instances.environments_requirements import check_requirements
from tests.unit.instances.test_environments import environments, model_dir, of, offline, wheels, write_wheel

__all__ = ["environments", "model_dir", "offline", "wheels"]

BACKEND = """
import os, zipfile
open({mark!r}, "w").close()

def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "built-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(folder, "built-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("built.py", "")
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: built\\nVersion: 1.0\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return "built-1.0-py3-none-any.whl"

build_editable = build_wheel
"""
PROJECT = """
[project]
name = "built"
version = "1.0"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""


@pytest.fixture
def source(model_dir, tmp_path):
    """A package beside the script; building it leaves a mark."""
    package = model_dir / "code" / "built"
    package.mkdir()
    (package / "pyproject.toml").write_text(PROJECT)
    (package / "backend.py").write_text(BACKEND.format(mark=str(tmp_path / "mark")))
    return tmp_path / "mark"


@pytest.mark.root
@pytest.mark.parametrize(
    "line", ["./built", "built @ ./built", "-e ./built", "--editable=./built", "--no-binary :all:\\\n\n./built"]
)
async def test_root_runs_no_code_of_a_package_that_must_be_built(environments, ask, model_dir, source, line):
    (model_dir / "code" / "requirements.txt").write_text(line + "\n")
    setting = r"built.*\[environments\] build_from_source = true in dyno\.toml allows it"
    with pytest.raises(InputFault, match=setting if "no-binary" not in line else setting.removeprefix("built.*")):
        await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert not source.exists()


@pytest.mark.parametrize("line", ["./built", "-e ./built"])
async def test_a_package_is_built_where_that_is_allowed(offline, ask, model_dir, source, tmp_path, line):
    (model_dir / "code" / "requirements.txt").write_text(line + "\n")
    environments = Environments(tmp_path / "cache", {}, build_from_source=True)
    prepared = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    assert source.exists()
    assert list(prepared.readable[0].glob("lib/*/site-packages/built-1.0.dist-info"))


async def test_what_a_wheel_runs_at_start_is_not_run_while_its_environment_is_built(
    environments, ask, model_dir, tmp_path
):
    code, mark = model_dir / "code", tmp_path / "mark"
    write_wheel(code, "own", "1.0", extra={"own.pth": f"import os; open({str(mark)!r}, 'w').close()\n"})
    (code / "requirements.txt").write_text("./own-1.0-py3-none-any.whl\n")
    prepared = await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))
    site = next(prepared.readable[0].glob("lib/*/site-packages"))
    assert (site / "own.pth").exists()
    assert list((site / "__pycache__").glob("own.*.pyc"))
    assert not mark.exists()


async def test_settings_of_uv_beside_the_script_are_not_obeyed(environments, ask, model_dir):
    (model_dir / "code" / "uv.toml").write_text("this is not TOML")
    (model_dir / "code" / "requirements.txt").write_text("joblib\n")
    await environments.prepare(ask(source=of("1.5"), model_dir=model_dir))


@pytest.mark.parametrize(
    "line",
    [
        "-r /etc/passwd",
        "-r/etc/passwd",
        "--requirement=/etc/passwd",
        "-r ../../other.txt",
        "-c /etc/passwd",
        "--constraint ../x",
        "-e /root/project",
        "-e ..",
        "-f /root/wheels",
        "--find-links=file:///root/wheels",
        "-i file:///root/index",
        "/root/own-1.0-py3-none-any.whl",
        "../own-1.0-py3-none-any.whl",
        "own @ file:///root/own-1.0-py3-none-any.whl",
        "own[more]@/root/own-1.0-py3-none-any.whl ; python_version > '3'",
        "own @ git+file:///root/repository",
        "FILE:///etc/passwd",
        "own @ file:%2e%2e/%2e%2e/own.whl",
        "# a comment \\\n-r /etc/passwd",
        "-r \\\n/etc/passwd",
        "-r .\\\n./x",
        "-r https://example.com/requirements.txt",
        "--index-url https://${AWS_SECRET_ACCESS_KEY}@example.com/",
        "-r nested/more.txt",
        "own\0",
    ],
)
def test_a_line_that_names_something_else_of_the_host_is_refused_by_name(tmp_path, line):
    code = tmp_path / "code"
    (code / "nested").mkdir(parents=True)
    (code / "nested" / "more.txt").write_text("-c ../../outside.txt\n")
    (code / "requirements.txt").write_text(f"numpy\n{line}\n")
    with pytest.raises(InputFault, match=r"requirements\.txt cannot be installed: its line .* is refused: it "):
        check_requirements(code / "requirements.txt", may_build=True)


def test_a_link_that_leads_out_of_the_code_is_refused(tmp_path):
    code = tmp_path / "code"
    code.mkdir()
    (code / "more.txt").symlink_to("/etc/passwd")
    (code / "requirements.txt").write_text("-r more.txt\n")
    with pytest.raises(InputFault, match="outside the code's directory"):
        check_requirements(code / "requirements.txt", may_build=True)


def test_usual_lines_are_not_refused(tmp_path):
    lines = """
# what it needs
numpy>=1.26,<3 ; python_version < '3.14'  # of its time
pandas[parquet] == 2.2.* \\
    --hash=sha256:abcdef
--index-url https://pypi.org/simple
-f https://example.com/wheels
own @ https://example.com/own-1.0-py3-none-any.whl
./lib/own-1.0-py3-none-any.whl
beside @ ./lib/beside-1.0-py3-none-any.whl
file:./lib/by_url-1.0-py3-none-any.whl
-r more.txt
-c lib/limits.txt
"""
    code = tmp_path / "code"
    code.mkdir()
    (code / "requirements.txt").write_text(lines)
    (code / "more.txt").write_text("scipy\n-r requirements.txt\n")
    check_requirements(code / "requirements.txt", may_build=False)
