"""A running job, trial by trial: as a live table on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.measurement import Window, failure_share, merged_latency
from modeldyno.domain.resource import Query
from modeldyno.domain.trial import Trial, TrialStatus
from modeldyno.ui import words
from modeldyno.ui.tables import configuration_cell, plain_table, status_text

if TYPE_CHECKING:
    from modeldyno.app.compose import Dyno

_POLL_SECONDS = 0.5
_LINE_SECONDS = 5.0  # between two lines about a trial that goes on
_UNTAKEN_SECONDS = 15.0  # a worker that runs takes a job within a second or two
_BUILDING = "Building the environment"  # of the log line that says so
_RECENT_WINDOWS = 3  # what "now" means: enough to be steady, few enough to be live


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one trial stands: final figures when it was measured, else those of its last windows."""

    trial: Trial
    users: int | None = None
    per_minute: float | None = None
    latency_ms: float | None = None
    cpu_percent: float | None = None
    remark: str = ""
    percentile: float = 95.0

    @property
    def name(self) -> str:
        """Its type; of an endpoint that was there already, its name."""
        spec = self.trial.spec
        if spec.existing is not None:
            return f"the endpoint {spec.endpoint_name}"
        return " · ".join((spec.instance_type.name, *([spec.specification] if spec.specification else [])))

    @property
    def settings(self) -> dict[str, str]:
        """What tells it from the other trials: what was tuned, else all it was given."""
        return self.trial.spec.tuned or self.trial.spec.environment

    @property
    def configuration(self) -> str:
        """Type and settings on one line."""
        chosen = words.settings(self.settings)
        compiled = f" · {words.COMPILED}" if self.trial.spec.compiled else ""
        return self.name + compiled + (f" · {chosen}" if chosen else "")


@dataclass(frozen=True, slots=True)
class Sight:
    """A job at one moment: itself, its trials, and its story so far (of the job, not of single trials)."""

    job: Job
    trials: tuple[Standing, ...]
    story: tuple[str, ...] = ()


@dataclass(slots=True)
class Watcher:
    """Reads a job again and again, and of its windows only what is new."""

    dyno: Dyno
    region: str
    name: str
    _recent: dict[tuple[str, int], list[Window]] = field(default_factory=dict)

    def look(self) -> Sight:
        """How it stands now. Raises ResourceNotFound."""
        job = self.dyno.store.job(self.region, self.name)
        lines = self.dyno.store.log_lines(job.id)
        last = {line.trial_index: line.message for line in lines}
        trials = tuple(self._standing(job, trial, last) for trial in self.dyno.store.trials(job.id))
        story = tuple(line.message for line in lines if line.trial_index is None)
        return Sight(job, trials, (*story, *self._doubt(job), *self._queue(job, trials)))

    def _queue(self, job: Job, trials: Sequence[Standing]) -> tuple[str, ...]:
        """A job none of whose trials has begun, behind another of the same data directory."""
        begun = any(standing.trial.status is not TrialStatus.PENDING for standing in trials)
        if begun or job.status is not JobStatus.IN_PROGRESS:
            return ()
        query = Query(self.region, equals={"status": str(JobStatus.IN_PROGRESS)}, limit=100)
        others = [other for other in self.dyno.store.find_jobs(query).items if other.created_at < job.created_at]
        return (f"Waiting: the trials of {others[-1].name} come first.",) if others else ()

    def _doubt(self, job: Job) -> tuple[str, ...]:
        """A job that nobody plans: whoever serves the data directory should have, long ago."""
        waiting = job.status is JobStatus.PENDING and self.dyno.clock.now() - job.created_at > _UNTAKEN_SECONDS
        log = self.dyno.places.logs / "worker.log"
        return (f"No worker has taken the job yet: is `dyno up` running? A worker's log is {log}.",) if waiting else ()

    def _standing(self, job: Job, trial: Trial, last: Mapping[int | None, str]) -> Standing:
        if trial.result is not None:
            figures = trial.result.figures
            remark = words.plural(len(trial.result.flags), "note") if trial.result.flags else ""
            return Standing(
                trial,
                users=figures.users,
                per_minute=math.floor(figures.capacity_per_minute),  # as in the ranking
                latency_ms=figures.latency_ms,
                cpu_percent=figures.cpu_percent,
                remark=remark,
                percentile=figures.percentile,
            )
        if trial.status is TrialStatus.IN_PROGRESS:
            builds = last.get(trial.spec.index, "").startswith(_BUILDING)
            return _live(trial, self._windows(trial), job.spec.rules.percentile, builds=builds)
        return Standing(trial, remark=_first_line(trial.failure_reason))

    def _windows(self, trial: Trial) -> list[Window]:
        known = self._recent.setdefault((trial.id, trial.attempt), [])
        after = known[-1].sequence if known else -1
        known.extend(self.dyno.store.windows(trial.id, trial.attempt, after))
        del known[:-_RECENT_WINDOWS]
        return known


def _live(trial: Trial, windows: Sequence[Window], percentile: float, *, builds: bool) -> Standing:
    if not windows:
        doing = "building its environment" if builds else "starting"
        return Standing(trial, remark=doing if trial.attempt <= 1 else f"{doing}, attempt {trial.attempt}")
    last = windows[-1]
    now = [one for one in windows if (one.users, one.rate_per_second) == (last.users, last.rate_per_second)]
    seconds = sum(window.duration_seconds for window in now) or 1.0
    quantile = merged_latency(now).quantile_ns(percentile / 100)
    cpu = [window.cpu_seconds for window in now if window.cpu_seconds is not None]
    failing = failure_share(now)
    return Standing(
        trial,
        users=last.users or None,
        per_minute=60 * sum(window.succeeded for window in now) / seconds,
        latency_ms=None if quantile is None else quantile / 1e6,
        cpu_percent=100 * sum(cpu) / seconds if len(cpu) == len(now) else None,
        remark=", ".join(part for part in (_arrivals(last), f"{failing:.0%} fail" if failing else "") if part),
        percentile=percentile,
    )


def _arrivals(window: Window) -> str:
    rate = window.rate_per_second
    return "" if rate is None else f"{words.count(60 * rate)} arrivals/min that do not wait"


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n", 1)[0]


def follow(dyno: Dyno, region: str, name: str, console: Console) -> Job:
    """Show a job on `console` until it has ended; the job as it is then.

    Raises:
        ResourceNotFound: there is no such job (any more).
    """
    watcher = Watcher(dyno, region, name)
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    lines = Lines(console)
    with live or nullcontext():
        while True:
            sight = watcher.look()
            if live is not None:
                live.update(_picture(sight, dyno.clock.now()), refresh=True)
            else:
                lines.tell(sight, dyno.clock.monotonic())
            if sight.job.status.ended:
                return sight.job
            time.sleep(_POLL_SECONDS)


def _picture(sight: Sight, now: float) -> Group:
    percentile = words.percentile(sight.job.spec.rules.percentile)
    numbers = ("users", "inv/min", percentile, "CPU")
    table = plain_table("#", "configuration", "status", *numbers, "", numbers=("#", *numbers))
    for standing in sight.trials:
        trial = standing.trial
        table.add_row(
            str(trial.spec.index),
            configuration_cell(standing.name, standing.settings, words.COMPILED if trial.spec.compiled else ""),
            status_text(trial.status),
            *_cells(standing),
            Text(standing.remark, style="dim"),
        )
    latest = Text(_latest(sight), style="dim")
    return Group(Text(_summary(sight, now), style="bold"), latest, table)


def _latest(sight: Sight) -> str:
    """The last line of a job's story, while it holds: nobody waits once a trial runs."""
    line = sight.story[-1] if sight.story and not sight.job.status.ended else ""
    runs = any(standing.trial.status is TrialStatus.IN_PROGRESS for standing in sight.trials)
    return "" if runs and line.startswith("Waiting:") else line


def _cells(standing: Standing) -> tuple[str, str, str, str]:
    def shown(value: float | None, text: str) -> str:
        return "" if value is None else text

    return (
        shown(standing.users, str(standing.users)),
        shown(standing.per_minute, words.count(standing.per_minute)),
        shown(standing.latency_ms, words.milliseconds(standing.latency_ms)),
        shown(standing.cpu_percent, words.percent(standing.cpu_percent)),
    )


def _summary(sight: Sight, now: float) -> str:
    job = sight.job
    ended = sum(standing.trial.status.ended for standing in sight.trials)
    passed = words.seconds((job.completed_at or now) - job.created_at)
    trials = f"{ended} of {words.plural(len(sight.trials), 'trial')} done" if sight.trials else "being planned"
    return f"{job.name} · {job.status} · {trials} · {passed}"


@dataclass(slots=True)
class Lines:
    """Says what changed, one line each; a trial that goes on is told every few seconds."""

    console: Console
    _told: dict[int, tuple[str, float]] = field(default_factory=dict)
    _story: set[str] = field(default_factory=set)
    _status: str = ""

    def tell(self, sight: Sight, now: float) -> None:
        """Print what is new. `now`: seconds, monotonic."""
        ended = sight.job.status.ended
        for message in sight.story:
            if message not in self._story:
                self._story.add(message)
                if not (ended and message.startswith(sight.job.status)):  # the answer says it, once
                    self._print(message)
        for standing in sight.trials:
            self._tell_trial(standing, len(sight.trials), now)
        if sight.job.status != self._status:
            self._status = sight.job.status
            self._print(f"{sight.job.name}: {sight.job.status}")

    def _tell_trial(self, standing: Standing, count: int, now: float) -> None:
        trial = standing.trial
        status, at = self._told.get(trial.spec.index, (str(TrialStatus.PENDING), now))
        due = trial.status is TrialStatus.IN_PROGRESS and now - at >= _LINE_SECONDS
        if trial.status == status and not due:
            return
        self._told[trial.spec.index] = (str(trial.status), now)
        self._print(f"trial {trial.spec.index} ({count} in all), {standing.configuration}: {_news(standing)}")

    def _print(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


def _news(standing: Standing) -> str:
    users, per_minute, latency, cpu = _cells(standing)
    parts = [str(standing.trial.status)]
    if per_minute:
        parts += [
            words.plural(int(users), "user") if users else "",
            f"{per_minute} invocations/min",
            f"p{standing.percentile:g} {latency}" if latency else "",
        ]
        parts += [f"CPU {cpu}" if cpu else ""]
    return ", ".join(part for part in (*parts, standing.remark) if part)
