"""From a loaded model to an ONNX graph, by framework.

**Source:** the documentation of skl2onnx (to_onnx), onnxmltools (convert_xgboost) and PyTorch (torch.onnx.export).
"""

from __future__ import annotations

import inspect
import io
import json
import math
from importlib import import_module
from typing import Any, Dict, List, Tuple  # noqa: UP035 - the runtime reads on Python 3.8

Shapes = Dict[str, List[int]]  # noqa: UP006
Exported = Tuple[bytes, Dict[str, Any]]  # noqa: UP006
"""The graph, and the facts that `graphs.Graph` needs."""


class CannotExport(Exception):
    """The model cannot become a graph; the text says why."""


def export_estimator(model: Any, shapes: Shapes) -> Exported:
    """A scikit-learn estimator or pipeline over one matrix of numbers."""
    base = import_module("sklearn.base")
    if not isinstance(model, base.BaseEstimator):
        raise CannotExport(f"model_fn returned {type(model).__name__}, which is no scikit-learn estimator")
    features = _features(shapes, getattr(model, "n_features_in_", None))
    converter, types = import_module("skl2onnx"), import_module("skl2onnx.common.data_types")
    probabilities = hasattr(model, "predict_proba")
    graph = converter.to_onnx(
        model,
        initial_types=[("rows", types.FloatTensorType([None, features]))],
        options={id(model): {"zipmap": False}} if probabilities else None,
    )
    flat = _predicts_flat(model, features)
    return graph.SerializeToString(), {"flat": flat, "probabilities": probabilities, "features": features}


def _predicts_flat(model: Any, features: int) -> bool:
    numpy = import_module("numpy")
    return bool(numpy.ndim(model.predict(numpy.zeros((1, features), dtype="float32"))) == 1)


def _features(shapes: Shapes, known: int | None) -> int:
    """How many numbers a row has, of the one shape that is given.

    Raises:
        CannotExport: there are several shapes, or it is not the model's.
    """
    if len(shapes) != 1:
        raise CannotExport(f"DataInputConfig names {len(shapes)} inputs: one matrix of numbers is compiled")
    ((name, shape),) = shapes.items()
    features = math.prod(shape[1:])
    if known is not None and features != known:
        raise CannotExport(f"DataInputConfig gives {name} {features} features a row, the model has {known}")
    return features


def export_booster(model: Any, shapes: Shapes) -> Exported:
    """An XGBoost booster; its own number of features holds."""
    xgboost = import_module("xgboost")
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if not isinstance(booster, xgboost.Booster):
        raise CannotExport(f"model_fn returned {type(model).__name__}, which is no booster")
    if booster is not model:
        raise CannotExport(f"model_fn returned {type(model).__name__}: of XGBoost's models only a Booster is compiled")
    features = booster.num_features()
    if shapes:
        _features(shapes, features)
    best = booster.attr("best_iteration")
    trees = booster if best is None else booster[: int(best) + 1]
    trees.feature_names = [f"f{number}" for number in range(features)]  # the converter wants them so
    types = import_module("onnxmltools.convert.common.data_types")
    convert = import_module("onnxmltools").convert_xgboost
    graph = convert(trees, initial_types=[("rows", types.FloatTensorType([None, features]))])
    predicted = booster.predict(xgboost.DMatrix(_zeros(features)), validate_features=False)
    tells_class = json.loads(booster.save_config())["learner"]["objective"]["name"] == "multi:softmax"
    classes = len(graph.graph.output) > 1 and not tells_class
    column = 1 if classes and predicted.ndim == 1 else None
    return graph.SerializeToString(), {
        "flat": predicted.ndim == 1,
        "probabilities": classes,
        "features": features,
        "column": column,
    }


def _zeros(features: int) -> Any:
    return import_module("numpy").zeros((1, features), dtype="float32")


def export_module(model: Any, shapes: Shapes) -> Exported:
    """A PyTorch module, over tensors of 32-bit floats whose first size is the number of rows."""
    torch = import_module("torch")
    if not isinstance(model, torch.nn.Module):
        raise CannotExport(f"model_fn returned {type(model).__name__}, which is no PyTorch module")
    names = list(shapes)
    samples = tuple(torch.zeros(*shape) for shape in shapes.values())
    stream = io.BytesIO()
    options: Dict[str, Any] = {  # noqa: UP006
        "input_names": names,
        "dynamic_axes": {name: {0: "rows"} for name in names},
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the exporter that takes TorchScript, too
    torch.onnx.export(model.eval().cpu(), samples, stream, **options)
    return stream.getvalue(), {"flat": False, "probabilities": False, "features": None}


EXPORTERS = {"scikit-learn": export_estimator, "xgboost": export_booster, "pytorch": export_module}
