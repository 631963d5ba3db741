"""What goes into the environment of each framework: its distribution and its companions.

**Source:** the containers' requirements (requirements.txt of aws/sagemaker-scikit-learn-container and aws/sagemaker-
xgboost-container, the Dockerfiles of aws/deep-learning-containers): which companions there are.
The upper bounds for old versions: the first releases that were built for NumPy 2, from each project's release notes
(scikit-learn 1.4.2, PyTorch 2.3, XGBoost 2.1, transformers 4.41), and scipy's and scikit-learn's own removals.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

from modeldyno.domain.images import Framework

RUNTIME_PINS = (
    "uvicorn==0.54.0",
    "httptools==0.9.0",
    "uvloop==0.23.0",
)
"""The runtime's HTTP server. Checked with these; a change makes every environment anew."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One framework. `bounds`: a version below the first part needs the requirements of the second.

    `gpu_only`: dependencies that a machine without a GPU does not need (gigabytes of CUDA libraries).
    """

    title: str
    distribution: str
    companions: tuple[str, ...]
    bounds: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gpu_only: tuple[str, ...] = ()

    def companions_of(self, version: str) -> tuple[str, ...]:
        """The companions' requirements beside that version."""
        bounds = [bound for below, needs in self.bounds if order(version) < order(below) for bound in needs]
        return (*self.companions, *bounds)


def order(version: str) -> tuple[int, ...]:
    """A release's numbers, to compare: ``2.13.0+cpu`` is (2, 13, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])


TORCH = Recipe("PyTorch", "torch", ("numpy", "scipy", "pandas"), (("2.3", ("numpy<2",)),))

ONNX_RUNTIME = "onnxruntime"
_ONNX = ("onnx>=1.16", "onnxruntime>=1.17")
COMPILERS: Mapping[Framework, tuple[str, ...]] = {
    Framework.SCIKIT_LEARN: ("skl2onnx>=1.17", *_ONNX),
    Framework.XGBOOST: ("onnxmltools>=1.13", *_ONNX),
    Framework.PYTORCH: _ONNX,
}
"""What compiles the models of a framework and runs them compiled, beside it: the answers of both are held against each
other in one environment. Checked with skl2onnx 1.20, onnxmltools 1.16 and ONNX Runtime 1.32."""

RECIPES: Mapping[Framework, Recipe] = {
    Framework.SCIKIT_LEARN: Recipe(
        "scikit-learn",
        "scikit-learn",
        ("numpy", "scipy", "pandas", "joblib"),
        (("1.4.2", ("numpy<2",)), ("1.4", ("scipy<1.13", "scipy<1.11; python_version < '3.12'", "pandas<2.3"))),
    ),
    Framework.XGBOOST: Recipe(
        "XGBoost",
        "xgboost",
        ("numpy", "scipy", "pandas", "scikit-learn"),
        (("2.1", ("numpy<2", "scikit-learn<1.6")),),
        ("nvidia-nccl-cu12", "nvidia-nccl-cu13"),
    ),
    Framework.PYTORCH: TORCH,
    Framework.HUGGING_FACE: Recipe("transformers", "transformers", ("numpy", "pandas"), (("4.41", ("numpy<2",)),)),
    # Without CUDA: tensorflow-cpu is of x86 only, elsewhere tensorflow itself has none.
    Framework.TENSORFLOW: Recipe(
        "TensorFlow", "tensorflow-cpu" if platform.machine() == "x86_64" else "tensorflow", ("numpy", "requests")
    ),
}
