"""Starts the server, one of its workers or a compilation, by the path of this folder: ``python -u .../runtime ...``.

It runs in an environment that does not have modeldyno. So this folder becomes a package of its own name, whatever it is
called on disk, and nothing of it is importable by a short name that a model's own modules might bear.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "modeldyno_runtime"


def _become_a_package() -> None:
    folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != folder]
    spec = importlib.util.spec_from_file_location(
        NAME, str(folder / "__init__.py"), submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


def _start() -> int:
    _become_a_package()
    part = "worker" if "--worker" in sys.argv else "compiling" if "--compile" in sys.argv else "front"
    return int(importlib.import_module(f"{NAME}.{part}").main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(_start())
