"""Which framework a model needs is read from its files."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from modeldyno.cli.detection import demand_script, detect
from modeldyno.cli.packing import pack_model
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.images import Framework

_PICKLE = pickle.dumps({"n_estimators": 3, "_sklearn_version": "1.5.2"})


def model(root: Path, **files: str | bytes) -> Path:
    """A directory; a name's double underscores are slashes, single ones dots."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.mark.parametrize(
    ("files", "framework", "version"),
    [
        ({"code__requirements_txt": "numpy\nscikit-learn==1.4.1\n"}, Framework.SCIKIT_LEARN, "1.4.1"),
        ({"code__requirements_txt": "Torch[x] ~= 2.6\nscikit-learn==1.4\n"}, Framework.PYTORCH, "2.6"),
        ({"code__requirements_txt": "xgboost>=2\n"}, Framework.XGBOOST, None),
        ({"code__inference_py": "import os\nfrom sklearn.base import clone\n"}, Framework.SCIKIT_LEARN, None),
        ({"code__inference_py": "import torch\nimport transformers\n"}, Framework.HUGGING_FACE, None),
        ({"code__inference_py": "import sklearn\nimport xgboost as xgb\n"}, Framework.XGBOOST, None),
        ({"model_joblib": _PICKLE, "code__inference_py": "import joblib\n"}, Framework.SCIKIT_LEARN, "1.5.2"),
        ({"model_joblib": _PICKLE, "code__inference_py": "import sklearn\n"}, Framework.SCIKIT_LEARN, "1.5.2"),
        ({"model_joblib": _PICKLE, "code__requirements_txt": "scikit-learn==1.4.1"}, Framework.SCIKIT_LEARN, "1.4.1"),
        ({"model_pth": b"\0"}, Framework.PYTORCH, None),
        ({"model_xgb": b"\0"}, Framework.XGBOOST, None),
        ({"half__1__saved_model_pb": b"\0"}, Framework.TENSORFLOW, None),
    ],
)
def test_files_tell_framework_and_version(
    tmp_path: Path, files: dict[str, str | bytes], framework: Framework, version: str | None
) -> None:
    found = detect(model(tmp_path / "model", **files))
    assert (found.framework, found.version) == (framework, version)


def test_an_archive_tells_the_same_as_the_directory(tmp_path: Path) -> None:
    source = model(tmp_path / "model", model_joblib=_PICKLE, code__inference_py="import joblib\n")
    assert detect(pack_model(source, tmp_path / "model.tar.gz")) == detect(source)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_version_is_found_in_every_pickle_protocol(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"_sklearn_version": "1.0.2"}, protocol)
    assert detect(model(tmp_path / "model", model_pkl=data)).version == "1.0.2"


def test_what_cannot_be_told_names_the_options_that_tell_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"model\.pkl could be anyone's pickle.*--framework .*--image"):
        detect(model(tmp_path / "model", model_pkl=b"\x80\x04N."))


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(b"garbage")
    with pytest.raises(InvalidRequest, match=r"neither a directory nor a readable tar\.gz"):
        detect(path)


def test_a_framework_that_needs_a_script_is_refused_without_one(tmp_path: Path) -> None:
    bare = model(tmp_path / "bare", model_joblib=_PICKLE)
    with pytest.raises(InvalidRequest, match=r"has no code/inference\.py\. scikit-learn needs one"):
        demand_script(bare, Framework.SCIKIT_LEARN)
    demand_script(bare, Framework.PYTORCH)  # its default loads model.pt
    demand_script(model(tmp_path / "booster", model_ubj=b"{"), Framework.XGBOOST)  # the built-in algorithm loads it
    demand_script(model(tmp_path / "whole", code__inference_py="import os\n"), Framework.SCIKIT_LEARN)


def test_an_archive_of_the_directory_instead_of_its_content_is_told(tmp_path: Path) -> None:
    packed = pack_model(model(tmp_path / "outer", churn__code__inference_py="import os\n"), tmp_path / "model.tar.gz")
    with pytest.raises(InvalidRequest, match=r"it has churn/code/inference\.py: pack what is in that directory"):
        demand_script(packed, Framework.SCIKIT_LEARN)
