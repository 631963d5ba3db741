"""XGBoost's built-in algorithm: any booster of the model's directory, without a script.

**Source:** aws/sagemaker-xgboost-container, algorithm_mode/serve.py, serve_utils.py and encoder.py: which files are
taken for models, how requests are read and answers written, and the statuses of errors.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any, Callable, List, Tuple  # noqa: UP035 - the runtime reads on Python 3.8

from . import codecs
from .answers import PLAIN, Answer, failure
from .configuration import Configuration

LIBSVM = ("text/libsvm", "text/x-libsvm")
RECORDIO = "application/x-recordio-protobuf"
THREADS_VARIABLE = "OMP_NUM_THREADS"
_READ = (codecs.CSV, *LIBSVM)
_WRITTEN = (codecs.CSV, codecs.JSON)
_PICKLE = b"\x80"  # the first byte of every pickle of protocol 2 and later
_DELIMITERS = ",;\t|"

Predict = Callable[[Any], Any]
"""Rows (an array with NaN, or a sparse matrix without, where a value is missing) to what is predicted of each."""


class Algorithm:
    """A booster, ready to answer one request at a time."""

    def __init__(self, configuration: Configuration, predict: Predict | None = None) -> None:
        self._default_accept = configuration.default_accept
        self.model = None if predict else load_booster(configuration.model_dir)
        self._predict = predict or predictor(self.model)

    def answer(self, headers: dict[str, str], body: bytes) -> Answer:
        """One request answered, in the container's order: nothing asked, the content, the prediction, the accept."""
        lower = {name.lower(): value for name, value in headers.items()}
        if not body:
            return Answer(204, PLAIN, b"", {})
        try:
            rows = read_rows(body, lower.get("content-type") or codecs.CSV)
            predicted = self._predicted(rows)
            accept = lower.get("accept") or codecs.ANY
            kind = codecs.choose_accepted(accept, self._default_accept, _WRITTEN)
            return Answer(200, kind, write(predicted, kind), {})
        except Exception as error:
            return failure(error)

    def _predicted(self, rows: Any) -> Any:
        try:
            return self._predict(rows)
        except Exception as error:
            raise codecs.StatusError(400, f"Unable to evaluate payload provided: {error}") from error


def read_rows(body: bytes, content_type: str) -> Any:
    """The rows of a request: a 64-bit float array of a CSV (NaN where a field is empty), a sparse matrix of libsvm.

    Raises:
        StatusError: 415, for other types and for content that is not what its type says.
    """
    kind = codecs.media_type(content_type)
    if kind not in _READ:
        why = " Recordio-protobuf is not read here." if kind == RECORDIO else ""
        raise codecs.StatusError(415, f"Content-type {kind} not supported: {', '.join(_READ)} are.{why}")
    try:
        text = body.decode("utf-8").strip()
        return _csv_rows(text) if kind == codecs.CSV else _libsvm_rows(text)
    except Exception as error:
        name = "csv" if kind == codecs.CSV else "libsvm"
        raise codecs.StatusError(415, f"Loading {name} data failed: {type(error).__name__}: {error}") from error


def _csv_rows(text: str) -> Any:
    first = text.partition("\n")[0]
    delimiter = next((one for one in _DELIMITERS if one in first), ",")
    rows = [[field.strip() or "nan" for field in row] for row in csv.reader(io.StringIO(text), delimiter=delimiter)]
    return import_module("numpy").array(rows).astype(float)


def _libsvm_rows(text: str) -> Any:
    """As the container does: whatever has a colon is ``index:value``; a label before them is passed over."""
    values: List[float] = []  # noqa: UP006
    places: Tuple[List[int], List[int]] = ([], [])  # noqa: UP006
    lines = text.split("\n")
    for number, line in enumerate(lines):
        for item in line.split():
            index, colon, value = item.partition(":")
            if colon:
                values.append(float(value))
                places[0].append(number)
                places[1].append(int(index))
    if not values:
        raise ValueError("there is no index:value in it")
    width = max(places[1]) + 1
    return import_module("scipy.sparse").csr_matrix((values, places), shape=(len(lines), width))


def write(predicted: Any, kind: str) -> bytes:
    """Predictions as the container writes them: one line of CSV for all, or ``{"predictions": [{"score": s}]}``."""
    scores = predicted.tolist()
    if kind == codecs.JSON:
        return json.dumps({"predictions": [{"score": score} for score in scores]}).encode()
    return ",".join(map(str, scores)).encode()


# --- the model ---


def load_booster(model_dir: Path) -> Any:
    """The booster of the directory, in JSON, UBJSON or XGBoost's old binary format, or pickled.

    Raises:
        ValueError: no file of it is one, with each file's reason; or several are.
    """
    found, reasons = [], []
    for path in sorted(model_dir.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            found.append((path.name, _booster_of(path)))
        except Exception as error:
            reasons.append(f"{path.name}: {(str(error).strip().splitlines() or [type(error).__name__])[-1]}")
    if not found:
        raise ValueError(f"No file of the model's directory is a booster. {'; '.join(reasons) or 'It has none.'}")
    if len(found) > 1:
        names = ", ".join(name for name, _ in found)
        raise ValueError(f"The model's directory holds several boosters ({names}): ensembles are not supported.")
    booster = found[0][1]
    booster.set_param({"nthread": int(os.environ.get(THREADS_VARIABLE) or 1)})
    return booster


def _booster_of(path: Path) -> Any:
    xgboost = import_module("xgboost")
    with path.open("rb") as file:
        if file.read(1) == _PICKLE:
            file.seek(0)
            model = pickle.load(file)
            booster = model.get_booster() if hasattr(model, "get_booster") else model
            if not isinstance(booster, xgboost.Booster):
                raise TypeError(f"it holds {type(booster).__name__}, not a booster")
            return booster
    booster = xgboost.Booster()
    booster.load_model(str(path))
    return booster


def predictor(booster: Any) -> Predict:
    """What the booster predicts; of one that stopped early, with the trees up to its best round."""
    matrix = import_module("xgboost").DMatrix
    best = booster.attr("best_iteration")
    options = {} if best is None else {"iteration_range": (0, int(best) + 1)}
    features = booster.num_features()

    def predict(rows: Any) -> Any:
        check_width(rows, features)
        return booster.predict(matrix(rows), validate_features=False, **options)

    return predict


def check_width(rows: Any, features: int) -> None:
    """That a CSV has the model's features: XGBoost itself would take absent ones for missing values.

    Raises:
        ValueError: it has more or fewer.
    """
    dense = not hasattr(rows, "tocsr")
    if dense and rows.shape[1] != features:
        raise ValueError(f"the data has {rows.shape[1]} features, the model {features}")
