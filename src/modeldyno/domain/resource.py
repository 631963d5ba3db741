"""A named record of the API that is not a job: a model, a package and its group, an endpoint, an experiment, a
compilation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a resource is."""

    MODEL = "model"
    PACKAGE_GROUP = "model-package-group"
    PACKAGE = "model-package"
    ENDPOINT_CONFIG = "endpoint-config"
    ENDPOINT = "endpoint"
    EXPERIMENT = "inference-experiment"
    COMPILATION = "compilation-job"


@dataclass(frozen=True, slots=True)
class Resource:
    """One record. (kind, region, name) is unique.

    name: of a package version ``GROUP/VERSION``, of an unversioned package its own name. `parent` is the group's name,
    `version` the version number, both None otherwise. `labels` hold what lists filter by equality. `document` is the
    validated request in the wire's shape, as Describe echoes it; of an endpoint and of an experiment it is the whole of
    its state (`domain.endpoint.Endpoint`, `domain.experiment.Experiment`), which `Store` reads and writes as such, and
    of a compilation its fields (`domain.compilation.Compilation`).
    Times are seconds since the Unix epoch.
    """

    kind: Kind
    region: str
    name: str
    arn: str
    status: str
    created_at: float
    modified_at: float
    document: dict[str, object]
    parent: str | None = None
    version: int | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page goes on: after the item with this sort value and this row number (both of the last item)."""

    value: str | float
    row: int


@dataclass(frozen=True, slots=True)
class Query:
    """What a list asks for. Bounds are exclusive; `sort_by` is one of ``name``, ``created_at``, ``modified_at``,
    ``status``. Ties are broken by row number in the same direction, so that pages stay correct while items are added.

    `equals` compares columns (``status``, ``parent``) or labels; `versioned` keeps only resources with (True)
    or without
    (False) a version.
    """

    region: str
    name_contains: str | None = None
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    equals: Mapping[str, str] = field(default_factory=dict)
    versioned: bool | None = None
    sort_by: str = "created_at"
    descending: bool = True
    after: Cursor | None = None
    limit: int = 10
