"""Who takes part in a job's run-off, and what came of it in words.

The leader is the one that ranks first. With it go those that could have been cheaper had the host been as fast for
them: whose least cost, by their interval, is at most `DRIFT` above the most that the leader's may be. One alone needs
no run-off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modeldyno.domain.job import Job, JobSpec, JobType
from modeldyno.domain.recommend import Recommendation, recommend
from modeldyno.domain.run_off import Contender, RunOff, Standing
from modeldyno.domain.trial import Flag, Trial, TrialSpec

DRIFT = 0.20
"""What a host may be faster or slower from one measurement to another. Measured on a shared virtual machine: a
configuration differed by 4 to 20% between passes minutes apart, rarely by more."""
MOST = 3
"""Chosen: in simulated jobs of nine configurations on such hosts a fourth found the cheapest hardly more often."""
_NO_CAPACITY = frozenset({Flag.LIVE_TRAFFIC, Flag.CLOSE_CALL})


def may_run_off(spec: JobSpec) -> bool:
    """Whether it is a job that has a run-off where its leaders lie close together.

    Only Default jobs of servers of their own: the load of an Advanced job is given, an endpoint that serves cannot take
    turns, serverless sizes are paid by the time of an answer, and with a target throughputs are no capacities.
    """
    own = spec.job_type is JobType.DEFAULT and spec.endpoint is None and not spec.serverless
    return own and spec.run_off and spec.rules.target_per_minute is None


def leaders(job: Job, trials: Sequence[Trial]) -> tuple[int, ...]:
    """The indices of the trials that take part, best first; none where there is no doubt or no run-off."""
    if not may_run_off(job.spec):
        return ()
    rows = [row for row in recommend(job, trials) if _can(row)]
    if not rows:
        return ()
    first, most = rows[0], _cost(rows[0], high=True)
    alike = [row for row in rows if row.trial.spec.instance_type.priced == first.trial.spec.instance_type.priced]
    near = [row.trial.spec.index for row in alike if _cost(row) <= most * (1 + DRIFT)][:MOST]
    return tuple(near) if len(near) > 1 else ()


def contender_of(trial: Trial) -> Contender:
    """A leader, at the users of its figures."""
    assert trial.result is not None  # leaders were measured
    kind = trial.spec.instance_type
    return Contender(trial.spec.index, trial.result.figures.users, kind.usd_per_hour if kind.priced else None)


def _can(row: Recommendation) -> bool:
    result, kind = row.trial.result, row.trial.spec.instance_type
    if result is None or _NO_CAPACITY & result.flags.keys() or row.trial.spec.serverless is not None:
        return False
    return result.figures.capacity_per_minute > 0 and (not kind.priced or bool(kind.usd_per_hour))


def _cost(row: Recommendation, *, high: bool = False) -> float:
    """The least, or most, that it may cost by its interval, up to a constant; without a price by throughput alone."""
    assert row.trial.result is not None  # `_can`
    figures, kind = row.trial.result.figures, row.trial.spec.instance_type
    bound = figures.capacity_low_per_minute if high else figures.capacity_high_per_minute
    return (kind.usd_per_hour if kind.priced and kind.usd_per_hour else 1.0) / (bound or figures.capacity_per_minute)


def with_note(run_off: RunOff, specs: Mapping[int, TrialSpec]) -> RunOff:
    """The run-off, told in words. `specs`: of the trials, by index."""
    chosen, *others = run_off.standings
    priced = specs[chosen.trial_index].instance_type.priced
    what = "costs {ratio} times as much an inference" if priced else "takes {ratio} times as long for an inference"
    turns = max(standing.rounds for standing in run_off.standings)
    where = "" if run_off.together else ", each deployed anew for every turn"
    parts = [f"{_told(one, specs, what)}" for one in others]
    end = _end(run_off, specs, priced=priced)
    note = (
        f"Run-off: the {len(run_off.standings)} leaders were measured again in turns, {turns} each, in "
        f"{run_off.seconds:.0f} s{where}. {'; '.join(parts)}. {end}."
    )
    return replace(run_off, note=note)


def _end(run_off: RunOff, specs: Mapping[int, TrialSpec], *, priced: bool) -> str:
    """Which ranks first, and how sure that is."""
    chosen, *others = run_off.standings
    best = specs[chosen.trial_index].told
    alike = [specs[one.trial_index].told for one in others if one.low is not None and not one.told_apart]
    if alike:
        ahead = all((one.ratio or 0.0) > 1 for one in others)
        over = f"it was {'cheaper' if priced else 'faster'} over the turns"
        by = over if ahead else "it costs least an hour, or came first"
        return f"{best} cannot be told apart from {' and '.join(alike)}; {by}, so it ranks first"
    if all(one.told_apart for one in others):
        return f"{best} ranks first, and that is sure"
    return f"{best} ranks first"


def _told(one: Standing, specs: Mapping[int, TrialSpec], what: str) -> str:
    name = specs[one.trial_index].told
    if one.low is None:
        return f"{name} was so far behind in its first {one.rounds} turns that it got no more"
    return f"{name} {what.format(ratio=f'{one.ratio:.2f} ({one.low:.2f} to {one.high:.2f})')}"
