"""Trials worth running: a job and the catalogue become a list of configurations, in the order they are tried.

1. *Default*: the named instance types, or else every type this host can be, one of each distinct shape, cheapest first.
   For Dyno's script mode each is tried with the worker counts that matter: one a core, and a single one with
   all threads.
   The first setting of every type comes before the second of any, so that a cut budget still covers the types.
   Where serverless endpoints are asked for: each size this host can be, with one invocation at a time and one worker.
2. *Advanced*: the cartesian product of the endpoint configurations and their ranges, in the order given.
3. What fits into the limit of tests is all tried, in that order. Where there is more, only a start is planned; the rest
   is chosen as the trials go (domain/search.py).
4. An endpoint that is there already is measured before everything else, and takes one of the tests.
5. What the limits cut off is told in the notes; nothing is left out in silence.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modeldyno.domain.catalog import Catalogue, InstanceType
from modeldyno.domain.errors import InputFault
from modeldyno.domain.exploration import Point, most_types, start
from modeldyno.domain.host import Host, cannot_be
from modeldyno.domain.images import SCRIPT_WORKERS_VARIABLE as WORKERS_VARIABLE
from modeldyno.domain.images import ImageChoice, ImageKind, classify
from modeldyno.domain.job import Candidate, JobSpec, JobType
from modeldyno.domain.leaders import may_run_off
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.serverless import MEMORY_SIZES_MB, Serverless, type_name
from modeldyno.domain.trial import CompiledModel, TrialSpec, titled

THREADS_VARIABLE = "OMP_NUM_THREADS"
SPECIFICATION = "InferenceSpecificationName"
MAX_DEFAULT_TYPES = 8
"""Types of a Default job that names none. Source: the SageMaker console offers "up to 8 instance types"."""
MAX_DEFAULT_TRIALS = 10
"""Trials of a Default job. Source: InferenceRecommendations holds at most 10 (botocore)."""
_WHOLE = re.compile("[0-9]{1,9}")
_DEPLOY_SECONDS = 5.0
_SEARCH_SECONDS = 25.0
_OPEN_LOOP_SECONDS = 40.0
_RUN_OFF_SECONDS = 40.0  # with the deployment of the leaders, where they lie close together


@dataclass(frozen=True, slots=True)
class Plan:
    """The trials in order, and what was left out and why (for people).

    `tests` of the `configurations` will be tried in the end: more than there are trials here where the rest is chosen
    as the trials go.
    """

    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...]
    tests: int
    configurations: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration that may become a trial."""

    kind: InstanceType
    tuned: dict[str, str]
    specification: str | None = None
    serverless: Serverless | None = None

    @property
    def key(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What makes it another configuration than others."""
        return titled(self.kind, self.serverless), frozenset(self.settings.items())

    @property
    def settings(self) -> dict[str, str]:
        """All that was chosen, as if it were variables."""
        return self.tuned if self.specification is None else {**self.tuned, SPECIFICATION: self.specification}

    @property
    def told(self) -> str:
        """For people."""
        setting = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        title = titled(self.kind, self.serverless)
        return f"{title} with {setting}" if setting else title


def plan(
    spec: JobSpec, catalogue: Catalogue, host: Host, runtimes: Collection[str], job_name: str, job_id: str
) -> Plan:
    """The trials of a job on this host.

    Raises:
        InputFault: the image is not one that Dyno can run, or a type is not in the catalogue.
    """
    choices = choices_of(spec, runtimes)
    notes: list[str] = []
    named = spec.job_type is JobType.ADVANCED or bool(spec.supported_instance_types)
    room = room_of(spec)
    if spec.serverless:
        kinds = _serverless_sizes(catalogue, host, room, notes)
    else:
        kinds = catalogue.every if named else _host_types(spec, catalogue, host, choices[None], notes)
    found = drafts(spec, kinds, choices[None])
    existing = _existing(spec)
    limit = len(found) if room is None else room
    grid = searched(found, limit)
    if grid is None:
        # Where not all fit, those with a price do, and go first: one without a price can only rank after them.
        tried = found if len(found) <= limit else sorted(found, key=lambda draft: not draft.kind.priced)[:limit]
        tests = len(tried)
        notes += [f"{draft.told} was not tried: {_NO_PRICE}" for draft in found if draft not in tried]
    else:
        tried, tests = [grid[index] for index in start(points(grid), limit, spec.seed)], limit
        notes += _search_notes(found, grid, limit)
    trials = (
        *existing,
        *(
            trial_of(spec, choices, draft, index, endpoint_name(job_name, job_id, index))
            for index, draft in enumerate(tried, len(existing))
        ),
    )
    if not trials:
        notes.append("No instance type is left to try.")
    return Plan(trials, tuple(notes), tests + len(existing), len(found))


def choices_of(spec: JobSpec, runtimes: Collection[str]) -> dict[str | None, ImageChoice]:
    """What runs for each specification of a job; None: for its model.

    Raises:
        InputFault: as `classify`.
    """
    choices: dict[str | None, ImageChoice] = {None: classify(spec.model, runtimes)}
    return choices | {name: classify(each.model, runtimes) for name, each in spec.specifications.items()}


def _existing(spec: JobSpec) -> tuple[TrialSpec, ...]:
    """The trial of an endpoint that is there already."""
    endpoint = spec.endpoint
    if endpoint is None:
        return ()
    return (TrialSpec(0, endpoint.name, endpoint.instance_type, dict(endpoint.environment), existing=endpoint.id),)


def compiled_twins(
    spec: JobSpec, trials: Sequence[TrialSpec], compiled: CompiledModel, job_name: str, job_id: str
) -> tuple[TrialSpec, ...]:
    """A trial of the compiled model for each one planned (an endpoint as it serves has none), on the same type with the
    same settings: as many as the job's limit of tests leaves room for."""
    left = len(trials) if spec.max_tests is None else max(0, spec.max_tests - len(trials))
    own = [trial for trial in trials if trial.existing is None]
    return tuple(
        replace(trial, index=index, endpoint_name=endpoint_name(job_name, job_id, index), compiled=compiled)
        for index, trial in enumerate(own[:left], len(trials))
    )


_NO_PRICE = "the job's tests go to types with a price, which rank before those without one."


def _search_notes(found: Sequence[Draft], grid: Sequence[Draft], limit: int) -> Iterator[str]:
    yield f"The job is limited to {limit} tests: of {len(grid)} configurations, {limit} are chosen as the trials go."
    unpriced = {draft.kind.name for draft in found} - {draft.kind.name for draft in grid}
    for name in sorted(unpriced):
        yield f"{name} was not tried: {_NO_PRICE}"


def limit_of(spec: JobSpec) -> int | None:
    """How many tests a job may make; None: as many as there are configurations."""
    if spec.job_type is JobType.ADVANCED:
        return spec.max_tests
    return min(spec.max_tests or MAX_DEFAULT_TRIALS, MAX_DEFAULT_TRIALS)


def room_of(spec: JobSpec) -> int | None:
    """How many of them are left for configurations; None: as many as there are."""
    limit = limit_of(spec)
    return None if limit is None else limit - (spec.endpoint is not None)


def searched(found: Sequence[Draft], limit: int) -> list[Draft] | None:
    """The configurations among which the tests are chosen; None where all that could rank first fit into the limit."""
    single = list({draft.key: draft for draft in found}.values())
    grid = [draft for draft in single if draft.kind.priced] or single
    return grid if len(grid) > limit and len(found) > limit else None


def points(grid: Sequence[Draft]) -> list[Point]:
    """The grid as numbers."""
    priced = all(draft.kind.priced and draft.kind.usd_per_hour is not None for draft in grid)
    return [
        Point(
            draft.kind.name,
            draft.kind.vcpus,
            draft.kind.memory_mib,
            sum(accelerator.count for accelerator in draft.kind.accelerators),
            draft.kind.usd_per_hour if priced else None,
            draft.settings,
        )
        for draft in grid
    ]


def estimated_seconds(spec: JobSpec, planned: Plan) -> float:
    """About how long the trials take one after the other: an estimate for people, from the load's usual length."""
    if spec.traffic is not None:
        return planned.tests * (spec.traffic.duration_seconds + _DEPLOY_SECONDS)
    open_loop = _OPEN_LOOP_SECONDS if spec.rules.threshold is not None and spec.open_loop else 0.0
    run_off = _RUN_OFF_SECONDS if planned.tests > 1 and may_run_off(spec) else 0.0
    return planned.tests * (_SEARCH_SECONDS + open_loop + _DEPLOY_SECONDS) + run_off


def drafts(spec: JobSpec, kinds: Mapping[str, InstanceType], choice: ImageChoice) -> list[Draft]:
    """All configurations of a job, in order. `kinds`: those of a Default job that names none, else any that it may
    name.

    Raises:
        InputFault: a named type is not among them.
    """
    if spec.job_type is JobType.ADVANCED:
        return [
            Draft(_known(candidate.instance_type, kinds), tuned, candidate.specification, candidate.serverless)
            for candidate in spec.candidates
            for tuned in _serverless_tuned(candidate, spec, choice)
        ]
    if spec.serverless:
        return [
            Draft(kinds[type_name(size)], tuned, serverless=Serverless(size, 1))
            for size in MEMORY_SIZES_MB
            if type_name(size) in kinds
            for tuned in _one_worker(spec, choice)
        ]
    chosen = [_known(name, kinds) for name in spec.supported_instance_types or kinds]
    by_type = [[Draft(kind, tuned) for tuned in _settings(spec, kind, choice)] for kind in chosen]
    rounds = itertools.zip_longest(*by_type)
    return [draft for group in rounds for draft in group if draft is not None]


def _serverless_tuned(candidate: Candidate, spec: JobSpec, choice: ImageChoice) -> Iterator[dict[str, str]]:
    """The environments of a candidate; a serverless one has one worker where nobody says otherwise.

    **Source:** developer guide, *Serverless Inference*: "we recommend creating only one worker in the container".
    """
    one = next(_one_worker(spec, choice)) if candidate.serverless is not None else {}
    for tuned in _product(candidate.ranges):
        yield {**one, **tuned}


def _one_worker(spec: JobSpec, choice: ImageChoice) -> Iterator[dict[str, str]]:
    ours = choice.kind is ImageKind.SCRIPT and WORKERS_VARIABLE not in spec.model.environment
    yield {WORKERS_VARIABLE: "1"} if ours else {}


def _serverless_sizes(
    catalogue: Catalogue, host: Host, limit: int | None, notes: list[str]
) -> Mapping[str, InstanceType]:
    """The sizes of a Default job, the smallest first."""
    sizes: dict[str, InstanceType] = {}
    for name, kind in catalogue.serverless.items():
        if (why := cannot_be(kind, host)) is not None:
            notes.append(f"{name} was not tried: {why}")
        elif limit is not None and len(sizes) >= limit:
            notes.append(f"{name} was not tried: the job is limited to {limit} tests, the smallest sizes first.")
        else:
            sizes[name] = kind
    return sizes


def _host_types(
    spec: JobSpec, catalogue: Catalogue, host: Host, choice: ImageChoice, notes: list[str]
) -> dict[str, InstanceType]:
    """The types of a Default job that names none: no more than its start can cover."""
    kinds = {kind.name: kind for kind in _default_types(catalogue, host, notes)}
    room = room_of(spec)
    limit = len(kinds) if room is None else room
    if len(drafts(spec, kinds, choice)) <= limit:
        return kinds
    most = most_types(limit)
    for name in list(kinds)[most:]:
        notes.append(f"{name} was not tried: the job is limited to {limit} tests, of {most} types, cheapest first.")
    return dict(list(kinds.items())[:most])


def _default_types(catalogue: Catalogue, host: Host, notes: list[str]) -> list[InstanceType]:
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


def _product(ranges: Mapping[str, tuple[str, ...]]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*ranges.values()):
        yield dict(zip(ranges, values, strict=True))


def _known(name: str, kinds: Mapping[str, InstanceType]) -> InstanceType:
    kind = kinds.get(name)
    if kind is None:
        raise InputFault(f"The instance type {name} is not in the catalogue; add it under [instances] in dyno.toml.")
    return kind


def trial_of(
    spec: JobSpec, choices: Mapping[str | None, ImageChoice], draft: Draft, index: int, endpoint: str
) -> TrialSpec:
    """The configuration as the trial `index`."""
    environment = {**spec.deployed(draft.specification).model.environment, **draft.tuned}
    trial = TrialSpec(
        index,
        endpoint,
        draft.kind,
        environment,
        draft.tuned,
        specification=draft.specification,
        serverless=draft.serverless,
    )
    if choices[draft.specification].kind is not ImageKind.SCRIPT:
        return trial
    default = str(math.ceil(draft.kind.vcpus or 1))
    workers = environment.get(WORKERS_VARIABLE, default)
    return replace(trial, workers=int(workers) if _WHOLE.fullmatch(workers) else None)
