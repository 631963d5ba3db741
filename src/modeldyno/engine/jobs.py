"""What becomes of a job: planned, searched on, run off, ended.

Each step is decided from one look at its rows, and written where they are still so: another worker may do the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from modeldyno.domain.compilation import cannot_compile
from modeldyno.domain.errors import DynoError, TrialFailure
from modeldyno.domain.failure import failures_text
from modeldyno.domain.host import Host
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.leaders import leaders
from modeldyno.domain.plan import plan
from modeldyno.domain.search import next_trial, untried_notes
from modeldyno.domain.trial import Trial, TrialSpec, TrialStatus
from modeldyno.engine.compilations import Compilations
from modeldyno.engine.defects import defect_text, told
from modeldyno.engine.materials import Materials
from modeldyno.engine.parts import Parts
from modeldyno.engine.results import Results
from modeldyno.ports import LogLine


class Jobs:
    """The jobs that one worker carries on. `runs_here`: whether a trial, by its id, runs in this worker."""

    def __init__(
        self,
        parts: Parts,
        worker_id: str,
        host: Host,
        materials: Materials,
        compilations: Compilations,
        results: Results,
        runs_here: Callable[[str], bool],
    ) -> None:
        self._parts = parts
        self._id = worker_id
        self._host = host
        self._materials = materials
        self._compilations = compilations
        self._results = results
        self._runs_here = runs_here

    async def plan(self, job: Job) -> None:
        """PENDING to IN_PROGRESS with its trials, or FAILED when there is nothing that could be tried."""
        try:
            planned = plan(job.spec, self._parts.catalogue, self._host, self._parts.runtimes, job.name, job.id)
            await self._materials.of(job, planned.trials[0].specification if planned.trials else None)
        except TrialFailure as fault:
            await self._finish(job, JobStatus.FAILED, fault.reason)
            return
        except (DynoError, OSError):
            raise  # the surroundings: the database is away, the disk is full; it is tried again
        except Exception as defect:  # tried again, it would come to the same, for ever
            self._parts.note(defect_text(f"job {job.name}", defect))
            await self._finish(job, JobStatus.FAILED, f"Dyno could not plan the job: {told(defect)}")
            return
        if not planned.trials:
            await self._finish(job, JobStatus.FAILED, " ".join(planned.notes))
            return
        now = self._parts.clock.now()
        if await asyncio.to_thread(self._parts.store.plan_job, job.id, planned.trials, planned.notes, now):
            await self.say(job, _planned(len(planned.trials), planned.tests), *planned.notes)
            why = cannot_compile(job.spec, self._parts.runtimes)
            if why is not None:
                await self.say(
                    job, f"The model is not compiled: {why.rstrip('.')}. The job goes on with the plain model."
                )

    async def advanced(self, job: Job) -> bool:
        """Add the next trial of a job that searches, or its run-off, or end a job that has nothing more to do; whether
        it has ended.

        All is decided from one look at its trials. What changes meanwhile is seen in the next round: a trial that has
        just ended is still open here, so that no job ends on what it was before.
        """
        trials, run_off = await self._rows(job)
        all_ended = all(trial.status.ended for trial in trials)
        chosen = None if job.stop_requested or run_off else await self._next(job, trials)
        if chosen is not None and not self._out_of_time(job):
            await self._extend(job, chosen)
            return False
        undecided = self._compilations.pending(job) and not self._out_of_time(job)
        complete = chosen is None and not undecided and all_ended
        if complete and run_off is None and await self._begun_run_off(job, trials):
            return False
        return await self._concluded(job, trials, run_off, complete=complete)

    async def has_more(self, job: Job) -> bool:
        """Whether a trial of it, or its run-off, is still to begin."""
        trials, run_off = await self._rows(job)
        return any(trial is not None and trial.status is TrialStatus.PENDING for trial in (*trials, run_off))

    async def _rows(self, job: Job) -> tuple[Sequence[Trial], Trial | None]:
        """Its trials, and its run-off, of which there is none to read before they have ended."""
        store = self._parts.store
        trials = await asyncio.to_thread(store.trials, job.id)
        all_ended = all(trial.status.ended for trial in trials)
        return trials, await asyncio.to_thread(store.run_off, job.id) if all_ended else None

    async def _begun_run_off(self, job: Job, trials: Sequence[Trial]) -> bool:
        """Add the run-off of a job whose leaders lie close together; whether there is one."""
        if job.stop_requested or self._out_of_time(job) or self._parts.options.run_off_seconds <= 0:
            return False
        indices = leaders(job, trials)
        if not indices:
            return False
        specs = tuple(trials[index].spec for index in indices)
        row = TrialSpec(len(trials), "run-off", specs[0].instance_type, contenders=specs)
        await asyncio.to_thread(self._parts.store.extend_job, job.id, [row], self._parts.clock.now())
        return True

    async def _extend(self, job: Job, chosen: TrialSpec) -> None:
        """Add the next trial of a job that searches."""
        if await asyncio.to_thread(self._parts.store.extend_job, job.id, [chosen], self._parts.clock.now()):
            setting = "".join(f" {name}={value}" for name, value in chosen.tuned.items())
            await self.say(job, f"Next: {chosen.title}{setting}, chosen from the trials so far.")

    async def _next(self, job: Job, trials: Sequence[Trial]) -> TrialSpec | None:
        """The next trial of a search; a defect in it ends the search, not the job, nor others."""
        parts = self._parts
        try:
            return await asyncio.to_thread(next_trial, job, trials, parts.catalogue, parts.runtimes)
        except Exception as defect:  # tried again, it would come to the same, for ever
            parts.note(defect_text(f"the search of job {job.name}", defect))
            return None

    async def _concluded(self, job: Job, trials: Sequence[Trial], run_off: Trial | None, *, complete: bool) -> bool:
        """End the job when nothing of it runs or is to run; whether it has ended. `complete`: all trials have ended,
        and none is to be added."""
        rows = (*trials, run_off) if run_off is not None else trials
        live = [trial for trial in rows if trial.status is TrialStatus.IN_PROGRESS]
        if job.stop_requested:
            live = [trial for trial in live if not await self._abandoned(trial)]
        if live:
            return False
        if not job.stop_requested and any(trial.status is TrialStatus.STOPPED for trial in rows):
            return False  # the job was told to stop since it was looked at
        if job.stop_requested:
            await self._finish(job, JobStatus.STOPPED, None, trials)
        elif complete and (run_off is None or run_off.status.ended or self._out_of_time(job)):
            await self._finish(job, *_verdict(trials), trials, _untold(run_off))
        elif not complete and self._out_of_time(job):
            note = f"The job's duration of {job.spec.duration_seconds} seconds was over before all trials had begun."
            await self.say(job, note)
            await self._finish(job, *_verdict(trials, note), trials)
        else:
            return False
        return True

    async def _abandoned(self, trial: Trial) -> bool:
        """Whether a trial of a job that stops runs nowhere any more; it is ended then."""
        now = self._parts.clock.now()
        if self._runs_here(trial.id):
            return False
        if trial.worker_id != self._id and (trial.lease_expires_at or 0.0) > now:
            return False
        write = self._parts.store.finish_trial
        await asyncio.to_thread(
            write, trial.id, trial.attempt, TrialStatus.STOPPED, now, failure_reason="The job was stopped."
        )
        return True

    def _out_of_time(self, job: Job) -> bool:
        if job.spec.duration_seconds is None or job.started_at is None:
            return False
        return self._parts.clock.now() >= job.started_at + job.spec.duration_seconds

    async def _finish(
        self, job: Job, status: JobStatus, reason: str | None, trials: Sequence[Trial] = (), story: Sequence[str] = ()
    ) -> None:
        notes = await self._untried(job, trials) if trials else ()
        now = self._parts.clock.now()
        story = (*notes, *story, f"{status}." if reason is None else f"{status}: {reason}")
        if await asyncio.to_thread(self._parts.store.finish_job, job.id, status, now, reason, notes, story):
            await self._results.publish(job)

    async def _untried(self, job: Job, trials: Sequence[Trial]) -> Sequence[str]:
        parts = self._parts
        try:
            return await asyncio.to_thread(untried_notes, job, trials, parts.catalogue, parts.runtimes)
        except Exception as defect:  # the job's end does not wait for words about it
            parts.note(defect_text(f"the notes of job {job.name}", defect))
            return ("Dyno could not tell what was left untried.",)

    async def say(self, job: Job, *messages: str) -> None:
        """Lines of the job's story."""
        now = self._parts.clock.now()
        await asyncio.to_thread(self._parts.store.log, job.id, [LogLine(now, message) for message in messages])


def _untold(run_off: Trial | None) -> Sequence[str]:
    """What is to be said of a run-off that did not decide the ranking."""
    if run_off is None or run_off.status is TrialStatus.COMPLETED:
        return ()
    why = run_off.failure_reason or "The job's duration was over before it had begun."
    return (f"There was no run-off: {why} The ranking is that of the trials.",)


def _verdict(trials: Sequence[Trial], note: str = "") -> tuple[JobStatus, str | None]:
    """COMPLETED when any trial succeeded; else FAILED with every reason, each once."""
    if any(trial.status is TrialStatus.COMPLETED for trial in trials):
        return JobStatus.COMPLETED, None
    return JobStatus.FAILED, failures_text(trials, note)


def _planned(trials: int, tests: int) -> str:
    planned = f"Planned {trials} trials" if trials != 1 else "Planned 1 trial"
    return f"{planned}." if trials == tests else f"{planned} of {tests} to begin with."
