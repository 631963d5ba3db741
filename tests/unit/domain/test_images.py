"""Which images run, and as what."""

import pytest

from modeldyno.domain.errors import InputFault
from modeldyno.domain.images import Framework, ImageChoice, ImageKind, classify, workers_variable
from modeldyno.domain.model import ModelSource

REGISTRY = "763104351884.dkr.ecr.us-east-1.amazonaws.com"


def _source(image=None, framework=None, version=None):
    return ModelSource(image, None, framework=framework, framework_version=version)


@pytest.mark.parametrize(
    ("image", "framework", "version", "torch_version"),
    [
        (f"{REGISTRY}/sagemaker-scikit-learn:1.2-1-cpu-py3", Framework.SCIKIT_LEARN, "1.2", None),
        ("sagemaker-scikit-learn:0.20.0-cpu-py3", Framework.SCIKIT_LEARN, "0.20.0", None),
        (f"{REGISTRY}/sagemaker-xgboost:1.7-1", Framework.XGBOOST, "1.7", None),
        (f"{REGISTRY}/tensorflow-inference:2.11.0-cpu", Framework.TENSORFLOW, "2.11.0", None),
        ("localhost:5000/mirror/pytorch-inference:2.0.0-cpu-py310", Framework.PYTORCH, "2.0.0", None),
        (
            f"{REGISTRY}/huggingface-pytorch-inference:2.1.0-transformers4.37.0-cpu-py310-ubuntu22.04",
            Framework.HUGGING_FACE,
            "4.37.0",
            "2.1.0",
        ),
        (f"{REGISTRY}/pytorch-inference@sha256:0123456789ab", Framework.PYTORCH, None, None),
    ],
)
def test_a_well_known_image_selects_script_mode_with_the_version_of_its_tag(image, framework, version, torch_version):
    choice = classify(_source(image), ())
    assert choice == ImageChoice(ImageKind.SCRIPT, framework, version, image, torch_version)


def test_a_framework_alone_selects_script_mode():
    choice = classify(_source(framework="SAGEMAKER-SCIKIT-LEARN", version="1.5.2"), ())
    assert choice == ImageChoice(ImageKind.SCRIPT, Framework.SCIKIT_LEARN, "1.5.2")


def test_the_image_wins_over_the_framework_that_is_told_beside_it():
    choice = classify(_source("sagemaker-xgboost:1.7-1", "SAGEMAKER-SCIKIT-LEARN", "1.0"), ())
    assert (choice.framework, choice.version) == (Framework.XGBOOST, "1.7")


def test_a_tag_without_a_version_takes_the_one_told_beside_it():
    assert classify(_source("pytorch-inference:latest", "PYTORCH", "2.3"), ()).version == "2.3"
    assert classify(_source("pytorch-inference:latest", "XGBOOST", "1.7"), ()).version is None


def test_a_mapped_image_selects_the_users_own_server():
    choice = classify(_source("acme/server:1"), {"acme/server:1"})
    assert choice == ImageChoice(ImageKind.OWN, image="acme/server:1")


def test_another_image_is_refused_by_name_with_how_to_map_it():
    with pytest.raises(InputFault, match=r"'acme/server:1'.*sagemaker-scikit-learn.*\[runtimes\.\"acme/server:1\"\]"):
        classify(_source("acme/server:1"), ())


def test_an_unknown_framework_none_at_all_and_a_strange_version_are_refused():
    with pytest.raises(InputFault, match=r"'MXNET' cannot be run"):
        classify(_source(framework="MXNET"), ())
    with pytest.raises(InputFault, match="neither an image nor a framework"):
        classify(_source(), ())
    with pytest.raises(InputFault, match=r"'newest' is not understood"):
        classify(_source(framework="PYTORCH", version="newest"), ())


def test_the_workers_variable_is_the_runtimes_own_or_the_configured_one():
    assert workers_variable(_source(framework="PYTORCH"), {}) == "SAGEMAKER_MODEL_SERVER_WORKERS"
    assert workers_variable(_source("acme/server:1"), {"acme/server:1": "WORKERS"}) == "WORKERS"
    assert workers_variable(_source("acme/server:1"), {"acme/server:1": None}) is None
