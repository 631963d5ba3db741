"""Compiles a model: loads it, exports it, and holds its answers against the plain model's, on the sample payload.

Run as ``--compile ORDERS``. What comes of it is written into the working directory: GRAPH and FACTS, or the reason why
not, in VERDICT. The model's code runs here, under the same limits and rights as in a server.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Sequence  # noqa: UP035 - the runtime reads on Python 3.8

from .answers import Serving
from .configuration import Configuration, read
from .equality import difference
from .exporting import EXPORTERS, CannotExport
from .graphs import FACTS, GRAPH, load_compiled
from .handlers import ScriptError
from .loading import load

VERDICT = "verdict.json"
MOST_SAMPLES = 100  # of the payload: enough to see a difference, a few seconds of a slow model


def main(arguments: Sequence[str]) -> int:
    """Compile, and tell what came of it. The status is 0 whether or not the model could be compiled."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--compile", required=True)
    parser.add_argument("--framework", required=True)
    options = parser.parse_args(arguments)
    orders = json.loads(options.compile)
    verdict: dict[str, Any]
    try:
        verdict = {"checked": _compile(read(options.framework, _environment()), orders)}
    except (CannotExport, ScriptError) as refusal:
        verdict = {"refused": str(refusal)}
    except (Exception, SystemExit) as error:
        traceback.print_exception(type(error), error, error.__traceback__)
        last = traceback.format_exception_only(type(error), error)[-1].strip()
        verdict = {"refused": " ".join(last.split())[:1000]}
    Path(VERDICT).write_text(json.dumps(verdict))
    sys.stdout.flush()
    return 0


def _environment() -> dict[str, str]:
    """A server's variables, but for the port: there is none."""
    return {name: value for name, value in os.environ.items() if name != "SAGEMAKER_BIND_TO_PORT"}


def _compile(configuration: Configuration, orders: dict[str, Any]) -> int:
    """How many requests were answered alike."""
    plain = load(configuration)
    print("The model is loaded.")  # noqa: T201
    graph, facts = EXPORTERS[configuration.framework](plain.model, orders["inputs"])
    Path(GRAPH).write_bytes(graph)
    Path(FACTS).write_text(json.dumps({"framework": configuration.framework, **facts}))
    print(f"The graph has {len(graph)} bytes.")  # noqa: T201
    return _check(plain, load_compiled(configuration, Path.cwd()), orders)


def _check(plain: Serving, compiled: Serving, orders: dict[str, Any]) -> int:
    """Hold the answers to the sample payload against each other.

    Raises:
        CannotExport: they differ, or the plain model answers none.
    """
    headers = {"content-type": orders["content_type"], "accept": orders["accept"] or "*/*"}
    files = sorted(path for path in Path(orders["payload"]).rglob("*") if path.is_file())
    answered = 0
    for path in files[:: max(1, len(files) // MOST_SAMPLES)]:
        body = path.read_bytes()
        expected = plain.answer(headers, body)
        told = difference(expected, compiled.answer(headers, body))
        if told is not None:
            raise CannotExport(f"the compiled model answers {path.name} otherwise than the plain one: {told}")
        answered += expected.status < 400
    if not answered:
        raise CannotExport("the plain model answers no request of the sample payload")
    return answered
