"""JSON, CSV and NPY to arrays and back, as the AWS containers' defaults do it.

**Source:** aws/sagemaker-containers, _encoders.py. Two differences, both on purpose: a CSV keeps its rows and columns
(one row stays one row; the containers squeeze it flat, and scikit-learn then refuses it), and an NPY with pickled
objects is refused (a request is data, not code).
"""

from __future__ import annotations

import csv
import io
import json
from importlib import import_module
from typing import Any

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"
TEXTS = (JSON, CSV)
ANY = "*/*"


class StatusError(Exception):
    """A request that is answered with this status and text."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


class UnsupportedContentType(StatusError):
    """No default reads this content type: 415."""

    def __init__(self, content_type: str, known: tuple[str, ...]) -> None:
        super().__init__(
            415,
            f"Content type {content_type} is not supported by the default input_fn, which reads "
            f"{', '.join(known)}. Write an input_fn in the script to read others.",
        )


class UnsupportedAccept(StatusError):
    """No default writes what is accepted: 406."""

    def __init__(self, accept: str, known: tuple[str, ...]) -> None:
        super().__init__(
            406,
            f"Accept {accept} is not supported by the default output_fn, which writes "
            f"{', '.join(known)}. Write an output_fn in the script to write others.",
        )


def media_type(header: str) -> str:
    """``text/csv`` of ``Text/CSV; charset=utf-8``."""
    return header.partition(";")[0].strip().lower()


def decode(data: Any, content_type: str) -> Any:
    """A numpy array of a request's body (text for JSON and CSV).

    Raises:
        UnsupportedContentType: for other types. ValueError: content that is not what its type says.
    """
    numpy = import_module("numpy")
    kind = media_type(content_type)
    if kind == JSON:
        return numpy.array(json.loads(data))
    if kind == CSV:
        rows = [row for row in csv.reader(io.StringIO(data), strict=True) if row]
        return numpy.array(rows)
    if kind == NPY:
        return numpy.load(io.BytesIO(data), allow_pickle=False)
    raise UnsupportedContentType(content_type, (JSON, CSV, NPY))


def choose_accepted(accept: str, default: str, known: tuple[str, ...] = (JSON, CSV, NPY)) -> str:
    """The first type of an Accept header that is known; ``*/*`` stands for the default.

    Raises:
        UnsupportedAccept: none of them is.
    """
    for item in accept.split(","):
        kind = media_type(item)
        kind = default if kind == ANY else kind
        if kind in known:
            return kind
    raise UnsupportedAccept(accept, known)


def encode(prediction: Any, kind: str) -> bytes:
    """A prediction as JSON, CSV (one row each) or NPY."""
    if kind == JSON:
        return json.dumps(prediction, default=_listed).encode()
    numpy = import_module("numpy")
    if kind == CSV:
        array = numpy.array(prediction)
        rows = array.reshape(-1, 1) if array.ndim < 2 else array
        text = io.StringIO()
        csv.writer(text, lineterminator="\n", strict=True).writerows(rows)
        return text.getvalue().encode()
    stream = io.BytesIO()
    numpy.save(stream, prediction)
    return stream.getvalue()


def _listed(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON: write an output_fn.")
