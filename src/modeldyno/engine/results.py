"""The result files of ended jobs: each is written when its job ends, and what a crash or a full disk left out, later.

The row of a job ends first, then comes its file: what happens between the two must not leave the job without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from modeldyno.domain.errors import DynoError, ResourceNotFound
from modeldyno.domain.job import Job
from modeldyno.domain.trial import Trial
from modeldyno.engine.parts import Parts


class Results:
    """What this worker publishes: the jobs whose last trial was its own, and those that had none."""

    def __init__(self, parts: Parts, worker_id: str) -> None:
        self._parts = parts
        self._id = worker_id
        self._missing: dict[str, Job] = {}

    async def publish(self, job: Job) -> None:
        """Write the file of a job that has just ended; where that fails, it is tried again by `catch_up`."""
        self._missing[job.id] = job
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what is missing, as far as it goes."""
        for job in list(self._missing.values()):
            try:
                await asyncio.to_thread(self._parts.publish, job)
            except ResourceNotFound:
                pass  # it was deleted: nobody asks for its file
            except (DynoError, OSError) as error:
                self._parts.note(f"the result of job {job.name} could not be written: {error}; it is tried again")
                return
            self._missing.pop(job.id, None)

    async def find(self) -> None:
        """Find the jobs that ended, within retention, and have no file."""
        since = self._parts.clock.now() - self._parts.options.retention_seconds
        for job in await asyncio.to_thread(self._parts.store.ended_jobs, since):
            if await asyncio.to_thread(self._parts.is_published, job):
                continue
            if self._ours(await asyncio.to_thread(self._parts.store.trials, job.id)):
                self._missing.setdefault(job.id, job)

    def _ours(self, trials: Sequence[Trial]) -> bool:
        """Whether the file is this worker's to write: it tells of the host, which must be the one that measured."""
        ended = [trial for trial in trials if trial.worker_id is not None]
        last = max(ended, key=lambda trial: trial.ended_at or 0.0, default=None)
        return last is None or last.worker_id == self._id
