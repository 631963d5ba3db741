"""What a job tries next, when its configurations are more than its tests; and what it left untried, and why.

Decided from the job and its trials so far alone, so that every worker, after a crash too, decides alike. The types that
the trials carry go before the catalogue's, which may have changed since.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modeldyno.domain.catalog import Catalogue
from modeldyno.domain.errors import InputFault
from modeldyno.domain.exploration import Observation, Prediction, predict, propose
from modeldyno.domain.images import ImageChoice
from modeldyno.domain.job import Job, JobType
from modeldyno.domain.names import endpoint_name
from modeldyno.domain.plan import Draft, choices_of, drafts, limit_of, points, room_of, searched, trial_of
from modeldyno.domain.recommend import outcome_of
from modeldyno.domain.trial import Trial, TrialSpec, TrialStatus

_SURE = 2.0  # standard deviations: a configuration that is dearer even then is called dearer, as a prediction
_MOST_NAMED = 3
_OPEN = frozenset({TrialStatus.PENDING, TrialStatus.IN_PROGRESS})


@dataclass(frozen=True, slots=True)
class _Search:
    """A job's grid and what was seen of it. `refused`: types that the host could not be."""

    choices: Mapping[str | None, ImageChoice]
    grid: list[Draft]
    limit: int
    tried: frozenset[int]
    under_way: frozenset[int]
    observations: list[Observation]
    refused: frozenset[str]


def next_trial(job: Job, trials: Sequence[Trial], catalogue: Catalogue, runtimes: Collection[str]) -> TrialSpec | None:
    """The trial to add now; None: none now, as enough are open, or none any more."""
    open_trials = [trial for trial in trials if trial.status in _OPEN]
    waiting = any(trial.status is TrialStatus.PENDING for trial in open_trials)
    limit, plain = _limit(job, trials), _plain(trials)
    if waiting or len(open_trials) >= job.spec.max_parallel or limit is None or len(plain) >= limit:
        return None
    search = _search_of(job, plain, catalogue, runtimes)
    if search is None:
        return None
    free = [index for index, draft in enumerate(search.grid) if draft.kind.name not in search.refused]
    place = {index: number for number, index in enumerate(free)}
    seen = [Observation(place[one.index], one.cost) for one in search.observations if one.index in place]
    under_way = {place[index] for index in search.under_way if index in place}
    chosen = propose(points([search.grid[i] for i in free]), seen, under_way, limit - len(plain), job.spec.seed)
    if chosen is None:
        return None
    index, draft = len(trials), search.grid[free[chosen]]
    return trial_of(job.spec, search.choices, draft, index, endpoint_name(job.name, job.id, index))


def untried_notes(
    job: Job, trials: Sequence[Trial], catalogue: Catalogue, runtimes: Collection[str]
) -> tuple[str, ...]:
    """What the search left untried, and why, for people; nothing where there was no search."""
    search = _search_of(job, _plain(trials), catalogue, runtimes)
    return tuple(_notes(search)) if search is not None else ()


def _plain(trials: Sequence[Trial]) -> list[Trial]:
    """Those of the job's own model: compiled ones stand beside the search."""
    return [trial for trial in trials if trial.spec.compiled is None]


def _limit(job: Job, trials: Sequence[Trial]) -> int | None:
    """How many trials of the plain model there may be: where a limit was asked for, it holds for all together."""
    limit = limit_of(job.spec)
    if limit is None or job.spec.max_tests is None:
        return limit
    return limit - (len(trials) - len(_plain(trials)))


def _search_of(job: Job, trials: Sequence[Trial], catalogue: Catalogue, runtimes: Collection[str]) -> _Search | None:
    spec, limit = job.spec, room_of(job.spec)
    own = [trial for trial in trials if trial.spec.existing is None]
    tried_kinds = {trial.spec.instance_type.name: trial.spec.instance_type for trial in own}
    if spec.serverless:  # its few sizes are planned from the start
        return None
    named = spec.job_type is JobType.ADVANCED or bool(spec.supported_instance_types)
    try:
        choices = choices_of(spec, runtimes)
        found = drafts(spec, {**catalogue.every, **tried_kinds} if named else tried_kinds, choices[None])
    except InputFault:  # the configuration of Dyno has changed: what was tried is what there is
        return None
    grid = searched(found, limit) if limit is not None else None
    if grid is None or limit is None:
        return None
    place = {draft.key: index for index, draft in enumerate(grid)}
    known = {place[key]: trial for trial in own if (key := _key(trial)) in place}
    ended = {
        index: trial for index, trial in known.items() if trial.status in (TrialStatus.COMPLETED, TrialStatus.FAILED)
    }
    refused = frozenset(trial.spec.instance_type.name for trial in ended.values() if _was_refused(trial))
    seen = [Observation(index, _cost(job, trial)) for index, trial in sorted(ended.items())]
    return _Search(choices, grid, limit, frozenset(known), frozenset(known.keys() - ended.keys()), seen, refused)


def _key(trial: Trial) -> tuple[str, frozenset[tuple[str, str]]]:
    spec = trial.spec
    return Draft(spec.instance_type, spec.tuned, spec.specification, spec.serverless).key


def _was_refused(trial: Trial) -> bool:
    """Whether it never began: the host cannot be its type."""
    return trial.status is TrialStatus.FAILED and trial.attempt == 0


def _cost(job: Job, trial: Trial) -> float | None:
    """Dollars an inference, of a type without a price one over the throughput; None where it did not come out well."""
    outcome = outcome_of(job.spec, trial)
    if trial.status is not TrialStatus.COMPLETED or outcome is None or outcome.capacity_per_minute <= 0:
        return None
    if trial.spec.instance_type.priced:
        return outcome.cost_per_inference_usd
    return outcome.instance_count / outcome.capacity_per_minute


# --- what was not tried ---


def _notes(search: _Search) -> Iterator[str]:
    left = [index for index in range(len(search.grid)) if index not in search.tried]
    for name in sorted(search.refused):
        others = [index for index in left if search.grid[index].kind.name == name]
        left = [index for index in left if index not in others]
        if others:
            yield f"{len(others)} more of {name} were not tried: the host could not be it."
    if not left:
        return
    were = "configurations were" if len(left) != 1 else "configuration was"
    yield f"{len(left)} {were} not tried: the tests went where the optimum seemed likelier."
    prediction = predict(points(search.grid), search.observations)
    if prediction is not None:
        yield from _predicted(search, prediction, left)


def _predicted(search: _Search, prediction: Prediction, left: Sequence[int]) -> Iterator[str]:
    """Three kinds, each called what it is: a prediction from the trials, not a measurement."""
    costs = [seen.cost for seen in search.observations if seen.cost]
    over = prediction.mean - math.log(min(costs))
    surely = over - _SURE * prediction.deviation
    unlikely = [index for index in left if prediction.feasible[index] < 0.5]
    dearer = [index for index in left if index not in unlikely and surely[index] > 0]
    close = sorted(set(left) - set(unlikely) - set(dearer), key=lambda index: float(over[index]))
    word = "cost" if search.grid[0].kind.priced else "need"
    unit = "an inference" if word == "cost" else "time for an inference"
    if dearer:
        least = math.floor(100 * math.expm1(float(np.min(surely[dearer]))))
        atleast = f"at least {least}% more" if least >= 1 else "more"
        yield (
            f"Predicted from the trials, not measured: {len(dearer)} of them {word} {atleast} {unit} than the best one "
            "tried."
        )
    if unlikely:
        yield f"Predicted from the trials, not measured: {len(unlikely)} of them fail or break the threshold."
    if close:
        names = "; ".join(search.grid[index].told for index in close[:_MOST_NAMED])
        yield (
            f"{len(close)} of them may be as good as the best that was tried or better, as far as the trials tell; the "
            f"likeliest: {names}."
        )
