"""What stands in for the functions that a script does not have, by framework.

**Source:** aws/sagemaker-scikit-learn-container serving.py, aws/sagemaker-xgboost-container serving.py,
aws/sagemaker-pytorch-inference-toolkit default_pytorch_inference_handler.py, aws/sagemaker-huggingface-inference-
toolkit handler_service.py.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from . import codecs

LIBSVM = ("text/libsvm", "text/x-libsvm")


class ScikitLearn:
    """Arrays in, `model.predict`, arrays out. There is no default model_fn: only the script knows how it saved."""

    default_accept = codecs.JSON

    def __init__(self, default_accept: str) -> None:
        self.default_accept = default_accept

    def model_fn(self, model_dir: str) -> Any:
        """Refuses: the script must have one."""
        raise AttributeError(
            "The script has no model_fn(model_dir), and this framework has no default one: "
            "write one that loads the model from model_dir and returns it."
        )

    def input_fn(self, data: Any, content_type: str) -> Any:
        """A numpy array; of floats (32 bit) from JSON and CSV."""
        array = codecs.decode(data, content_type)
        return array.astype("float32") if codecs.media_type(content_type) in codecs.TEXTS else array

    def predict_fn(self, data: Any, model: Any) -> Any:
        """What the model predicts."""
        return model.predict(data)

    def output_fn(self, prediction: Any, accept: str) -> tuple[bytes, str]:
        """The body and its content type."""
        kind = codecs.choose_accepted(accept, self.default_accept)
        return codecs.encode(prediction, kind), kind


class XGBoost(ScikitLearn):
    """As scikit-learn's, with a DMatrix for the model."""

    def input_fn(self, data: Any, content_type: str) -> Any:
        """A DMatrix of CSV, JSON, NPY or libsvm."""
        xgboost = import_module("xgboost")
        if codecs.media_type(content_type) not in LIBSVM:
            return xgboost.DMatrix(super().input_fn(data, content_type))
        with tempfile.NamedTemporaryFile("wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            return xgboost.DMatrix(f"{file.name}?format=libsvm")

    def predict_fn(self, data: Any, model: Any) -> Any:
        """What the booster predicts; feature names are not compared."""
        return model.predict(data, validate_features=False)


class PyTorch(ScikitLearn):
    """TorchScript out of the model's directory, tensors in and out."""

    def _device(self) -> Any:
        torch = import_module("torch")
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def model_fn(self, model_dir: str) -> Any:
        """`torch.jit.load` of model.pt, or else of the only .pt or .pth file."""
        path = Path(model_dir, "model.pt")
        if not path.exists():
            found = sorted(file for file in Path(model_dir).iterdir() if file.suffix in (".pt", ".pth"))
            if len(found) != 1:
                names = ", ".join(file.name for file in found) or "none"
                raise ValueError(f"Exactly one .pth or .pt file is required for the default model_fn; found {names}.")
            path = found[0]
        model = import_module("torch").jit.load(str(path), map_location=self._device())
        model.eval()
        return model

    def input_fn(self, data: Any, content_type: str) -> Any:
        """A tensor on the model's device."""
        array = super().input_fn(data, content_type)
        return import_module("torch").from_numpy(array).to(self._device())

    def predict_fn(self, data: Any, model: Any) -> Any:
        """The model called, without gradients."""
        with import_module("torch").no_grad():
            return model(data)

    def output_fn(self, prediction: Any, accept: str) -> tuple[bytes, str]:
        """The body and its content type; a tensor as an array."""
        if hasattr(prediction, "detach"):
            prediction = prediction.detach().cpu().numpy()
        return super().output_fn(prediction, accept)


class HuggingFace(ScikitLearn):
    """A transformers pipeline for HF_TASK, fed ``{"inputs": ..., "parameters": {...}}``."""

    def model_fn(self, model_dir: str) -> Any:
        """The pipeline of the files in the model's directory."""
        task = os.environ.get("HF_TASK")
        if not task:
            raise ValueError("The script has no model_fn(model_dir), and HF_TASK does not name a task for a pipeline.")
        return import_module("transformers").pipeline(task, model=model_dir)

    def input_fn(self, data: Any, content_type: str) -> Any:
        """What the JSON says."""
        if codecs.media_type(content_type) != codecs.JSON:
            raise codecs.UnsupportedContentType(content_type, (codecs.JSON,))
        return json.loads(data)

    def predict_fn(self, data: Any, model: Any) -> Any:
        """The pipeline's answer to the inputs, with the parameters."""
        if not isinstance(data, dict):
            return model(data)
        return model(data.get("inputs", data), **data.get("parameters") or {})


BY_FRAMEWORK = {"scikit-learn": ScikitLearn, "xgboost": XGBoost, "pytorch": PyTorch, "huggingface": HuggingFace}
