"""A compiled model: an ONNX graph in the place of the model that the script's functions would get.

It stands in the model's directory under FOLDER: the graph, and the facts without which its outputs cannot be given the
form that the model's had.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from .answers import Serving
from .boosters import THREADS_VARIABLE, Algorithm, check_width
from .configuration import Configuration
from .handlers import Handlers

FOLDER = "dyno-compiled"
GRAPH = "model.onnx"
FACTS = "compiled.json"
_OFFERED = {
    "scikit-learn": "predict and, of a classifier, predict_proba",
    "xgboost": "predict",
    "pytorch": "a call",
}


class Graph:
    """An ONNX graph, run by ONNX Runtime with OMP_NUM_THREADS threads, or one a core.

    `facts`: ``framework``; ``flat``, whether a prediction of one number a row is an array of one dimension;
    ``probabilities``, whether there is an output of them; ``features``, how many a row has.
    """

    def __init__(self, folder: Path) -> None:
        runtime = import_module("onnxruntime")
        self._numpy = import_module("numpy")
        self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text())
        options = runtime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get(THREADS_VARIABLE) or len(os.sched_getaffinity(0)))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # workers share the cores
        self._session = runtime.InferenceSession(str(folder / GRAPH), options, providers=["CPUExecutionProvider"])
        self._inputs = [each.name for each in self._session.get_inputs()]

    def __getattr__(self, name: str) -> Any:
        framework = self.__dict__.get("facts", {}).get("framework", "")
        raise AttributeError(f"the compiled model has no {name}: it has {_OFFERED.get(framework, 'less')}")

    def run(self, *arrays: Any) -> list[Any]:
        """Every output for these inputs, as 32-bit floats where they are floats."""
        if len(arrays) != len(self._inputs):
            raise ValueError(f"the compiled model takes {len(self._inputs)} inputs, not {len(arrays)}")
        singles = {name: self._single(array) for name, array in zip(self._inputs, arrays)}  # noqa: B905 - Python 3.8
        outputs: list[Any] = self._session.run(None, singles)
        return outputs

    def _single(self, array: Any) -> Any:
        array = self._numpy.asarray(array)
        return array.astype("float32") if array.dtype.kind == "f" else array


class Estimator(Graph):
    """In the place of a scikit-learn estimator."""

    def predict(self, rows: Any, **_: Any) -> Any:
        """The first output: labels, or numbers."""
        return self._flat(self.run(self._rows(rows))[0])

    def predict_proba(self, rows: Any) -> Any:
        """The second output, of a classifier."""
        if not self.facts["probabilities"]:
            raise AttributeError("the compiled model has no predict_proba: it is no classifier, or tells no such")
        return self.run(self._rows(rows))[1]

    def _rows(self, rows: Any) -> Any:
        rows = rows.toarray() if hasattr(rows, "toarray") else rows
        array = self._numpy.asarray(rows).astype("float32")
        check_width(array, self.facts["features"])
        return array

    def _flat(self, predicted: Any) -> Any:
        return predicted.ravel() if self.facts["flat"] else predicted


class Booster(Estimator):
    """In the place of an XGBoost booster: of a DMatrix or rows, what is not said is missing."""

    def predict(self, rows: Any, **_: Any) -> Any:
        """Probabilities where the booster predicts them, else numbers."""
        outputs = self.run(self._rows(rows))
        predicted = outputs[1 if self.facts["probabilities"] else 0]
        if self.facts["column"] is not None:  # the graph has both classes, a booster tells the second alone
            return predicted[:, self.facts["column"]]
        return self._flat(predicted).astype("float32")

    def _rows(self, rows: Any) -> Any:
        rows = rows.get_data() if hasattr(rows, "get_data") else rows
        if not hasattr(rows, "tocoo"):
            check_width(rows, self.facts["features"])
            return self._numpy.asarray(rows).astype("float32")
        sparse = rows.tocoo()
        dense = self._numpy.full((sparse.shape[0], self.facts["features"]), self._numpy.nan, dtype="float32")
        dense[sparse.row, sparse.col] = sparse.data
        return dense


class Module(Graph):
    """In the place of a PyTorch module: tensors in, and tensors out."""

    def eval(self) -> Module:
        """It is never in training."""
        return self

    def to(self, *_: Any, **__: Any) -> Module:
        """It is where it is: on the processor."""
        return self

    def __call__(self, *tensors: Any) -> Any:
        """The outputs; the only one by itself."""
        torch = import_module("torch")
        outputs = [torch.from_numpy(each) for each in self.run(*(tensor.detach().cpu().numpy() for tensor in tensors))]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


_KINDS = {"scikit-learn": Estimator, "xgboost": Booster, "pytorch": Module}


def load_compiled(configuration: Configuration, folder: Path | None = None) -> Serving:
    """A compiled model behind the functions of its script. `folder`: where the graph is, FOLDER by default."""
    folder = folder or configuration.model_dir / FOLDER
    if not (folder / GRAPH).is_file():
        raise ValueError(f"The model holds no {FOLDER}/{GRAPH}: it is not compiled.")
    graph = _KINDS[configuration.framework](folder)
    if configuration.algorithm:
        return Algorithm(configuration, graph.predict)
    return Handlers(configuration, lambda model_dir: graph)
