"""Which kind of serving a model gets."""

from __future__ import annotations

from .answers import Serving
from .boosters import Algorithm
from .configuration import Configuration
from .graphs import load_compiled
from .handlers import Handlers
from .savedmodels import SavedModel


def load(configuration: Configuration) -> Serving:
    """The model, loaded. Raises whatever loading it raises."""
    if configuration.framework == "tensorflow":
        return SavedModel(configuration)
    if configuration.compiled:
        return load_compiled(configuration)
    return Algorithm(configuration) if configuration.algorithm else Handlers(configuration)
