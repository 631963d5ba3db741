"""What an image name means here: built-in script mode, the user's own server, or a refusal that says what would do.

Images are never pulled. The repository and the tag of the well-known ones tell the framework and its version.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from modeldyno.domain.errors import InputFault
from modeldyno.domain.model import ModelSource

SCRIPT_WORKERS_VARIABLE = "SAGEMAKER_MODEL_SERVER_WORKERS"
"""How many workers the built-in runtime starts."""


class ImageKind(StrEnum):
    """Who brings the server."""

    SCRIPT = "script"  # Dyno's runtime calls the functions of the model's code/inference.py
    OWN = "own"  # a command of dyno.toml's [runtimes]


class Framework(StrEnum):
    """What script mode knows."""

    SCIKIT_LEARN = "scikit-learn"
    XGBOOST = "xgboost"
    PYTORCH = "pytorch"
    HUGGING_FACE = "huggingface"
    TENSORFLOW = "tensorflow"


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """What runs for a model.

    `version` is as it was asked for (``1.2``, ``2.0.0``), None for the newest; of the transformers library for Hugging
    Face, where `torch_version` is the one below it. `framework` is None for an own server, `image` None where a
    framework was named without one. `compiled`: the model is an ONNX graph beside what it was compiled from.
    """

    kind: ImageKind
    framework: Framework | None = None
    version: str | None = None
    image: str | None = None
    torch_version: str | None = None
    compiled: bool = False


# Source: AWS's image repositories, docs.aws.amazon.com/sagemaker/latest/dg-ecr-paths and github.com/aws/
# deep-learning-containers (available_images.md).
_REPOSITORIES: Mapping[str, Framework] = {
    "sagemaker-scikit-learn": Framework.SCIKIT_LEARN,
    "sagemaker-xgboost": Framework.XGBOOST,
    "pytorch-inference": Framework.PYTORCH,
    "pytorch-inference-arm64": Framework.PYTORCH,
    "pytorch-inference-graviton": Framework.PYTORCH,
    "huggingface-pytorch-inference": Framework.HUGGING_FACE,
    "tensorflow-inference": Framework.TENSORFLOW,
    "tensorflow-inference-arm64": Framework.TENSORFLOW,
    "tensorflow-inference-graviton": Framework.TENSORFLOW,
}

# Dyno's own: what a compiled model runs on (domain/compilation.py).
_COMPILED_REPOSITORIES: Mapping[str, Framework] = {
    f"dyno-onnx-{framework}": framework for framework in (Framework.SCIKIT_LEARN, Framework.XGBOOST, Framework.PYTORCH)
}

# Source: botocore, ContainerConfig.Framework; HUGGINGFACE is not among AWS's words and stands for itself.
_FRAMEWORKS: Mapping[str, Framework] = {
    "SAGEMAKER-SCIKIT-LEARN": Framework.SCIKIT_LEARN,
    "XGBOOST": Framework.XGBOOST,
    "PYTORCH": Framework.PYTORCH,
    "HUGGINGFACE": Framework.HUGGING_FACE,
    "TENSORFLOW": Framework.TENSORFLOW,
}

_VERSION = re.compile(r"(\d+\.\d+(?:\.\d+)?)(?=$|[-+])")
_TRANSFORMERS = re.compile(r"-transformers(\d+\.\d+(?:\.\d+)?)(?=$|-)")


def classify(source: ModelSource, runtimes: Collection[str]) -> ImageChoice:
    """What runs for this model. `runtimes` are the image names that dyno.toml maps to commands; they go first.

    Where there is an image, it decides; framework and version of the model fill what its name does not tell.

    Raises:
        InputFault: neither; the text says what is supported and how to map an image.
    """
    if source.image is None:
        return _by_framework(source)
    if source.image in runtimes:
        return ImageChoice(ImageKind.OWN, image=source.image)
    repository, tag = _split(source.image)
    compiled = repository in _COMPILED_REPOSITORIES
    framework = _COMPILED_REPOSITORIES.get(repository) or _REPOSITORIES.get(repository)
    if framework is None:
        raise InputFault(_refusal(source.image))
    version, torch_version = _versions(framework, tag)
    if version is None and _FRAMEWORKS.get((source.framework or "").upper()) is framework:
        version = _checked(source.framework_version)
    return ImageChoice(ImageKind.SCRIPT, framework, version, source.image, torch_version, compiled)


def workers_variable(source: ModelSource, runtimes: Mapping[str, str | None]) -> str | None:
    """The environment variable that sets how many workers this model's server starts; None where none is known.

    runtimes: the images of dyno.toml's [runtimes], each with its `worker_variable`.

    Raises:
        InputFault: as `classify`.
    """
    choice = classify(source, runtimes)
    return SCRIPT_WORKERS_VARIABLE if choice.kind is ImageKind.SCRIPT else runtimes[choice.image or ""]


def _by_framework(source: ModelSource) -> ImageChoice:
    if source.framework is None:
        raise InputFault("The model names neither an image nor a framework, so it is not known what to run.")
    framework = _FRAMEWORKS.get(source.framework.upper())
    if framework is None:
        raise InputFault(
            f"The framework {source.framework!r} cannot be run: script mode knows {', '.join(sorted(_FRAMEWORKS))}. "
            "For another server give the model an image and map it to a command under [runtimes] in dyno.toml."
        )
    return ImageChoice(ImageKind.SCRIPT, framework, _checked(source.framework_version))


def _split(image: str) -> tuple[str, str]:
    """The repository's last part and the tag of ``[registry[:port]/]path/repository[:tag][@digest]``."""
    repository, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return repository, tag


def _versions(framework: Framework, tag: str) -> tuple[str | None, str | None]:
    leading = _VERSION.match(tag)
    version = leading[1] if leading else None
    if framework is not Framework.HUGGING_FACE:
        return version, None
    transformers = _TRANSFORMERS.search(tag)
    return (transformers[1] if transformers else None), version


def _checked(version: str | None) -> str | None:
    if version is None:
        return None
    match = _VERSION.match(version)
    if match is None:
        raise InputFault(f"The framework version {version!r} is not understood: it has the form 1.2 or 1.2.3.")
    return match[1]


def _refusal(image: str) -> str:
    return (
        f"The image {image!r} cannot be run: images are not pulled. Script mode knows the repositories "
        f'{", ".join(_REPOSITORIES)}; any other image is mapped to a command in dyno.toml: [runtimes."{image}"] '
        'command = ["/path/to/server"].'
    )
