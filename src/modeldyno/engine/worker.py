"""Rows say what should be; the worker makes it so, and can be killed at any instant.

1. At its start it gives back what it held in a former life and removes what that left on the host.
2. It plans new jobs, adds trials to those that search, claims trials (one transaction enforces attempt, parallelism,
   room and stop), and ends jobs.
3. A heartbeat renews its leases. One that could not renew for 0.7 of the lease kills its own trials
(self-fence), before
   another worker may take them over.
4. A clean end tears down its trials and gives them back.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine, Sequence

from modeldyno.domain.errors import DynoError, HostCannot
from modeldyno.domain.host import place, place_at, place_in_turns
from modeldyno.domain.job import Job
from modeldyno.domain.trial import Placement, Trial, TrialStatus
from modeldyno.engine.compilations import Compilations
from modeldyno.engine.group import place_type, tags_of
from modeldyno.engine.hosting import Hosting
from modeldyno.engine.jobs import Jobs
from modeldyno.engine.keeper import Keeper
from modeldyno.engine.materials import Materials
from modeldyno.engine.parts import Parts
from modeldyno.engine.results import Results
from modeldyno.engine.run_off import RunOffRun
from modeldyno.engine.scaling import Scaler
from modeldyno.engine.sites import LivingEndpoint, OwnServer, Site
from modeldyno.engine.trial import TrialRun
from modeldyno.ports import Claim, Tag

_FENCE_SHARE = 0.7
_PRUNE_EVERY_SECONDS = 3600.0
# Chosen: more interruptions of one trial than any outage or row of restarts makes, and an end of it within minutes.
MOST_ATTEMPTS = 50


class Worker:
    """One worker: owns this host's instances. `worker_id` is stable over restarts and unique in the installation.
    `hosts`: whether it serves endpoints, too."""

    def __init__(self, parts: Parts, worker_id: str, *, hosts: bool = False) -> None:
        self._parts = parts
        self._id = worker_id
        self._host = parts.backend.host()
        self._hosting = Hosting(parts, worker_id, self._host) if hosts else None
        self._materials = Materials(parts.objects, parts.work_dir)
        self._compilations = Compilations(parts, worker_id, self._materials)
        self._results = Results(parts, worker_id)
        self._running: dict[Tag, tuple[Claim, asyncio.Task[None]]] = {}
        self._jobs = Jobs(
            parts, worker_id, self._host, self._materials, self._compilations, self._results, self._runs_here
        )
        self._renewed = parts.clock.monotonic()
        self._unfinished: list[Claim] = []
        self._planning: dict[str, asyncio.Task[None]] = {}
        self._waiting_told = False
        self._told_to_wait: set[str] = set()
        self._pruned = -_PRUNE_EVERY_SECONDS

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop` is set; returns when nothing of it is left on the host."""
        await self._begin()
        on_ready()
        lasting = (self._heartbeats(), self._fence(), self._guarded(self._results.find))
        background = [asyncio.create_task(work) for work in lasting]
        if self._hosting is not None:
            background.append(asyncio.create_task(self._hosting.run()))
            background.append(asyncio.create_task(Scaler(self._parts, self._host).run()))
            if self._parts.spool is not None:
                background.append(asyncio.create_task(Keeper(self._parts, self._parts.spool).run()))
        try:
            while not stop.is_set():
                await self._guarded(self._reconcile)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._parts.options.poll_seconds)
        finally:
            background += self._planning.values()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self._end()

    # --- life ---

    async def _begin(self) -> None:
        store = self._parts.store
        lease = self._parts.options.lease_seconds
        now = self._parts.clock.now()
        await asyncio.to_thread(store.heartbeat, self._id, self._host, now, lease)
        self._renewed = self._parts.clock.monotonic()
        living = await self._hosting.held() if self._hosting is not None else set()
        removed = await asyncio.to_thread(self._parts.backend.remove_orphans, store.installation, self._id, living)
        given_back = await asyncio.to_thread(store.release_worker, self._id)
        if removed or given_back:
            self._parts.note(f"after a crash: {removed} servers removed, {given_back} trials to be repeated")
        if self._hosting is not None:
            await self._hosting.begin()

    async def _end(self) -> None:
        running = [task for _, task in self._running.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, self._compilations.end(), return_exceptions=True)
        if self._hosting is not None:
            await self._hosting.end()
        with contextlib.suppress(DynoError):
            await self._give_back()
            active = await asyncio.to_thread(self._parts.store.active_jobs)
            await asyncio.to_thread(self._materials.keep_only, {job.id for job in active})
        self._parts.permit.release()

    async def _heartbeats(self) -> None:
        lease = self._parts.options.lease_seconds
        while True:
            await self._parts.clock.sleep(lease / 5)
            await self._guarded(self._renew)

    async def _renew(self) -> None:
        began = self._parts.clock.monotonic()
        lease = self._parts.options.lease_seconds
        await asyncio.to_thread(self._parts.store.heartbeat, self._id, self._host, self._parts.clock.now(), lease)
        self._renewed = began

    async def _fence(self) -> None:
        lease = self._parts.options.lease_seconds
        while True:
            await self._parts.clock.sleep(lease / 20)
            if self._running and self._parts.clock.monotonic() - self._renewed > _FENCE_SHARE * lease:
                self._parts.note("the leases could not be renewed: this worker ends its own trials")
                for _, task in self._running.values():
                    task.cancel()

    async def _guarded(self, step: Callable[[], object]) -> None:
        """A step that fails (the database is away, the disk is full) is told and tried again; the worker goes on."""
        try:
            done = step()
            if asyncio.iscoroutine(done):
                await done
        except Exception as error:  # whatever it is, the next round may go well
            self._parts.note(f"{type(error).__name__}: {error}")
            await self._parts.clock.sleep(1.0)

    # --- the loop ---

    async def _reconcile(self) -> None:
        store = self._parts.store
        await self._give_back()
        for job in await asyncio.to_thread(store.unplanned_jobs):
            if job.id not in self._planning:
                self._planning[job.id] = asyncio.create_task(self._guarded(functools.partial(self._jobs.plan, job)))
        planning = set(self._planning)  # one that is planned meanwhile is not among the active ones yet
        active = await asyncio.to_thread(store.active_jobs)
        still_open = [job for job in active if not await self._jobs.advanced(job)]
        await self._compile_or_claim(still_open)
        if not self._running and not self._compilations.busy:
            self._parts.permit.release()
        self._planning = {job: task for job, task in self._planning.items() if not task.done()}
        await asyncio.to_thread(self._materials.keep_only, {job.id for job in still_open} | planning)
        await self._results.catch_up()
        await self._prune()

    async def _compile_or_claim(self, still_open: Sequence[Job]) -> None:
        """One or the other: a compilation has the host to itself, and goes before its job's trials."""
        await self._compilations.keep_to(still_open)
        if self._compilations.busy:
            return
        waiting = await self._compilations.next(still_open)
        if waiting is None:
            if any(not job.stop_requested for job in still_open):
                await self._claim_all(still_open)
        elif not self._running and await self._permitted(still_open):
            self._compilations.start(waiting)

    async def _permitted(self, active: Sequence[Job]) -> bool:
        """Whether this worker may measure now; those who wait are told once why."""
        if self._running or bool(await asyncio.to_thread(self._parts.permit.try_acquire)):
            self._waiting_told = False
            return True
        if not self._waiting_told:
            self._waiting_told = True
            for job in active:
                await self._jobs.say(job, "Waiting: another Dyno is measuring on this host.")
        return False

    async def _claim_all(self, active: Sequence[Job]) -> None:
        if not await self._permitted(active):
            return
        while True:
            now, lease = self._parts.clock.now(), self._parts.options.lease_seconds
            claim = await asyncio.to_thread(self._parts.store.claim_trial, self._id, self._place, now, lease)
            if claim is None:
                await self._tell_waiting(active)
                return
            await self._start(claim)

    async def _tell_waiting(self, active: Sequence[Job]) -> None:
        """Tell jobs, once, that others have this host."""
        running = {claim.job.id: claim.job.name for claim, _ in self._running.values()}
        self._told_to_wait &= {job.id for job in active}
        idle = [job for job in active if running and job.id not in running and job.spec.endpoint is None]
        for job in idle:
            if job.id not in self._told_to_wait and await self._jobs.has_more(job):
                self._told_to_wait.add(job.id)
                await self._jobs.say(job, f"Waiting: this host measures {', '.join(running.values())}.")

    def _place(self, trial: Trial, busy: Sequence[Placement]) -> Placement | None:
        if trial.spec.contenders:
            return place_in_turns([one.instance_type for one in trial.spec.contenders], self._host, busy)
        if trial.spec.existing is None:
            return place(place_type(trial.spec), self._host, busy)
        if self._hosting is None:
            raise HostCannot("This process serves no endpoints; `dyno up` does.")
        servers = self._hosting.where(trial.spec.existing)
        return place_at(servers, self._host, busy) if servers else None

    def _site(self, claim: Claim) -> Site:
        asked = claim.job.spec.endpoint
        if claim.trial.spec.existing is None or asked is None or self._hosting is None:
            return OwnServer(self._parts.backend)
        return LivingEndpoint(self._parts, self._hosting, claim.job.region, asked)

    async def _start(self, claim: Claim) -> None:
        installation = self._parts.store.installation
        tag = Tag(installation, self._id, claim.trial.id, claim.trial.attempt)
        own = [one for other, (run, _) in self._running.items() for one in tags_of(other, run.trial.spec)]
        keep = {str(one) for one in own} | (self._hosting.tags() if self._hosting is not None else set())
        await asyncio.to_thread(self._parts.backend.remove_orphans, installation, self._id, keep)
        if claim.trial.attempt > MOST_ATTEMPTS:
            await self._give_up(claim)
            return
        task = asyncio.create_task(self._run(claim, tag), name=str(tag))
        self._running[tag] = (claim, task)
        task.add_done_callback(lambda done: self._ended(tag, done))

    def _run(self, claim: Claim, tag: Tag) -> Coroutine[None, None, None]:
        if claim.trial.spec.contenders:
            return RunOffRun(self._parts, claim, tag, self._materials, self._host).run()
        return TrialRun(self._parts, claim, tag, self._site(claim), self._materials).run()

    def _runs_here(self, trial_id: str) -> bool:
        return any(claim.trial.id == trial_id for claim, _ in self._running.values())

    async def _give_up(self, claim: Claim) -> None:
        """A trial that ends its worker, or fills the disk, every time would be repeated for ever."""
        reason = (
            f"The trial was begun {MOST_ATTEMPTS} times and never came to an end: each time it was interrupted, by the "
            "end of its worker or because the database or the disk could not be used."
        )
        trial, now = claim.trial, self._parts.clock.now()
        write = self._parts.store.finish_trial
        await asyncio.to_thread(write, trial.id, trial.attempt, TrialStatus.FAILED, now, failure_reason=reason)
        if not trial.spec.contenders:  # of a run-off, the end of the job tells it
            await self._jobs.say(claim.job, f"{TrialStatus.FAILED}: {reason}")

    def _ended(self, tag: Tag, task: asyncio.Task[None]) -> None:
        claim, _ = self._running.pop(tag)
        if task.cancelled():
            self._unfinished.append(claim)
        elif (error := task.exception()) is not None:
            self._parts.note(f"trial {tag.unit}: {type(error).__name__}: {error}")
            self._unfinished.append(claim)

    async def _give_back(self) -> None:
        """Trials that were torn down without an end (fenced, the database was away) may be claimed again."""
        while self._unfinished:
            trial = self._unfinished[0].trial
            await asyncio.to_thread(self._parts.store.release_trial, trial.id, trial.attempt)
            self._unfinished.pop(0)

    async def _prune(self) -> None:
        if self._parts.clock.monotonic() - self._pruned < _PRUNE_EVERY_SECONDS:
            return
        self._pruned = self._parts.clock.monotonic()
        before = self._parts.clock.now() - self._parts.options.retention_seconds
        await asyncio.to_thread(self._parts.store.prune, before)
        await asyncio.to_thread(self._parts.store.prune_minutes, before)
        await asyncio.to_thread(self._parts.prune_files, before)
