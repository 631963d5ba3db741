"""Trials worth running: a job and the catalogue become a list of configurations, in the order they are tried.

1. *Default*: the named instance types, or else every type this host can be, one of each distinct shape, cheapest first.
   For Dyno's script mode each is tried with the worker counts that matter: one a core, and a single one with
   all threads.
   The first setting of every type comes before the second of any, so that a cut budget still covers the types.
2. *Advanced*: the cartesian product of the endpoint configurations and their ranges, in the order given.
3. What the limits cut off is told in the notes; nothing is left out in silence.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from modeldyno.domain.catalog import Catalogue, InstanceType
from modeldyno.domain.errors import InputFault
from modeldyno.domain.host import Host, cannot_be
from modeldyno.domain.images import SCRIPT_WORKERS_VARIABLE as WORKERS_VARIABLE
from modeldyno.domain.images import ImageChoice, ImageKind, classify
from modeldyno.domain.job import JobSpec, JobType
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.trial import TrialSpec

THREADS_VARIABLE = "OMP_NUM_THREADS"
MAX_DEFAULT_TYPES = 8
"""Types of a Default job that names none. Source: the SageMaker console offers "up to 8 instance types"."""
MAX_DEFAULT_TRIALS = 10
"""Trials of a Default job. Source: InferenceRecommendations holds at most 10 (botocore)."""
_WHOLE = re.compile("[0-9]{1,9}")
_DEPLOY_SECONDS = 5.0
_SEARCH_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The trials in order, and what was left out and why (for people)."""

    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Draft:
    kind: InstanceType
    tuned: dict[str, str]


def plan(
    spec: JobSpec, catalogue: Catalogue, host: Host, runtimes: Collection[str], job_name: str, job_id: str
) -> Plan:
    """The trials of a job on this host.

    Raises:
        InputFault: the image is not one that Dyno can run, or a type is not in the catalogue.
    """
    choice = classify(spec.model, runtimes)
    notes: list[str] = []
    if spec.job_type is JobType.ADVANCED:
        drafts = list(_advanced(spec, catalogue))
        limit = spec.max_tests or len(drafts)
    else:
        drafts = _default(spec, catalogue, host, choice, notes)
        limit = min(spec.max_tests or MAX_DEFAULT_TRIALS, MAX_DEFAULT_TRIALS)
    for draft in drafts[limit:]:
        notes.append(f"{_told(draft)} was not tried: the job is limited to {limit} tests.")
    trials = tuple(
        _trial(endpoint_name(job_name, job_id, index), index, draft, spec, choice)
        for index, draft in enumerate(drafts[:limit])
    )
    if not trials:
        notes.append("No instance type is left to try.")
    return Plan(trials, tuple(notes))


def estimated_seconds(spec: JobSpec, planned: Plan) -> float:
    """About how long the trials take one after the other: an estimate for people, from the load's usual length."""
    load = float(spec.traffic.duration_seconds) if spec.traffic is not None else _SEARCH_SECONDS
    return len(planned.trials) * (load + _DEPLOY_SECONDS)


def _default(spec: JobSpec, catalogue: Catalogue, host: Host, choice: ImageChoice, notes: list[str]) -> list[_Draft]:
    kinds = _default_types(spec, catalogue, host, notes)
    by_type = [[_Draft(kind, tuned) for tuned in _settings(spec, kind, choice)] for kind in kinds]
    rounds = itertools.zip_longest(*by_type)
    return [draft for drafts in rounds for draft in drafts if draft is not None]


def _default_types(spec: JobSpec, catalogue: Catalogue, host: Host, notes: list[str]) -> list[InstanceType]:
    if spec.supported_instance_types:
        return [_known(name, catalogue) for name in spec.supported_instance_types]
    possible = sorted((kind for kind in catalogue.values() if cannot_be(kind, host) is None), key=_cheapest)
    if len(possible) < len(catalogue):
        left = len(catalogue) - len(possible)
        notes.append(
            f"{left} of the catalogue's {len(catalogue)} instance types were left out: this host "
            f"({len(host.cores)} cores, "
            f"{host.memory_mib} MiB, {host.architecture}) cannot be them."
        )
    shapes: dict[object, list[InstanceType]] = {}
    for kind in possible:
        shapes.setdefault((kind.vcpus, kind.memory_mib, kind.accelerators), []).append(kind)
    notes.extend(_told_same(first.name, [kind.name for kind in same]) for first, *same in shapes.values() if same)
    kinds = [first for first, *_ in shapes.values()]
    for kind in kinds[MAX_DEFAULT_TYPES:]:
        notes.append(
            f"{kind.name} was not tried: a Default job tries {MAX_DEFAULT_TYPES} instance types, cheapest first."
        )
    return kinds[:MAX_DEFAULT_TYPES]


def _told_same(chosen: str, same: list[str]) -> str:
    were = "was not tried: it has" if len(same) == 1 else "were not tried: they have"
    return f"{', '.join(same)} {were} the shape of {chosen}, which costs no more."


def _cheapest(kind: InstanceType) -> tuple[bool, float, str]:
    return (not kind.priced, kind.usd_per_hour or 0.0, kind.name)


def _settings(spec: JobSpec, kind: InstanceType, choice: ImageChoice) -> Iterator[dict[str, str]]:
    """The environments worth trying on one type."""
    if spec.ranges:
        yield from _product(spec.ranges)
        return
    if choice.kind is not ImageKind.SCRIPT or WORKERS_VARIABLE in spec.model.environment:
        yield {}
        return
    cores = math.ceil(kind.vcpus or 1)
    fixed_threads = THREADS_VARIABLE in spec.model.environment
    per_core = {WORKERS_VARIABLE: str(cores)}
    yield per_core if fixed_threads else {**per_core, THREADS_VARIABLE: "1"}
    if cores > 1:
        single = {WORKERS_VARIABLE: "1"}
        yield single if fixed_threads else {**single, THREADS_VARIABLE: str(cores)}
    elif kind.vcpus is not None and kind.vcpus >= 1:
        two = {WORKERS_VARIABLE: "2"}
        yield two if fixed_threads else {**two, THREADS_VARIABLE: "1"}


def _advanced(spec: JobSpec, catalogue: Catalogue) -> Iterator[_Draft]:
    for candidate in spec.candidates:
        for tuned in _product(candidate.ranges):
            yield _Draft(_known(candidate.instance_type, catalogue), tuned)


def _product(ranges: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*ranges.values()):
        yield dict(zip(ranges, values, strict=True))


def _known(name: str, catalogue: Catalogue) -> InstanceType:
    kind = catalogue.get(name)
    if kind is None:
        raise InputFault(f"The instance type {name} is not in the catalogue; add it under [instances] in dyno.toml.")
    return kind


def _trial(endpoint: str, index: int, draft: _Draft, spec: JobSpec, choice: ImageChoice) -> TrialSpec:
    environment = {**spec.model.environment, **draft.tuned}
    trial = TrialSpec(index, endpoint, draft.kind, environment, draft.tuned)
    if choice.kind is not ImageKind.SCRIPT:
        return trial
    default = str(math.ceil(draft.kind.vcpus or 1))
    workers = environment.get(WORKERS_VARIABLE, default)
    return replace(trial, workers=int(workers) if _WHOLE.fullmatch(workers) else None)


def _told(draft: _Draft) -> str:
    setting = ", ".join(f"{name}={value}" for name, value in draft.tuned.items())
    return f"{draft.kind.name} with {setting}" if setting else draft.kind.name
