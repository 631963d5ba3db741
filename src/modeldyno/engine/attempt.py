"""One attempt at what a worker has claimed: carried out, and its end written, whatever comes between.

1. It is run under an attempt number; every write counts only while that attempt is current.
2. The stop flag is looked at all the while, also while a server starts.
3. Whatever ends it, the servers and the generators are gone before the end is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modeldyno.domain.errors import ServiceError, StoreUnreachable, TrialFailure
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.trial import TrialResult, TrialStatus
from modeldyno.engine.defects import defect_text, told
from modeldyno.engine.parts import Parts
from modeldyno.ports import Claim, LogLine, Tag


class Superseded(Exception):
    """The attempt is no longer ours: somebody else runs it, nothing may be written."""


class Stopped(Exception):
    """The job is to stop."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work ended: what was measured, and why it FAILED all the same where it did (reason, log tail)."""

    result: TrialResult | None = None
    failure: tuple[str, str] | None = None
    run_off: RunOff | None = None

    @property
    def status(self) -> TrialStatus:
        """COMPLETED, but for a failure."""
        return TrialStatus.FAILED if self.failure else TrialStatus.COMPLETED


class Attempt:
    """One attempt at a claim. `words`: how its end is told in the job's story. `index`: whose lines these are (None: of
    the job itself)."""

    def __init__(
        self,
        parts: Parts,
        claim: Claim,
        tag: Tag,
        words: Callable[[TrialStatus, Ending], str],
        index: int | None = None,
    ) -> None:
        self._parts = parts
        self._claim = claim
        self._tag = tag
        self._words = words
        self._index = index
        self._what = "run-off" if claim.trial.spec.contenders else "trial"

    async def carry_out(self, work: Awaitable[Ending]) -> None:
        """Do the work, and write how it ended. Cancelled: the work is cancelled and nothing is written.

        Raises:
            StoreUnreachable: the database is away; the work has ended its servers and has no end yet.
        """
        try:
            ending = await self._unless_stopped(work)
        except Stopped:
            await self._finish(TrialStatus.STOPPED, _failed("The job was stopped."))
        except Superseded:
            self._parts.note(f"trial {self._tag.unit}: attempt {self._tag.attempt} was superseded")
        except TrialFailure as fault:
            await self._finish(TrialStatus.FAILED, _failed(fault.reason, fault.log_tail))
        except StoreUnreachable:
            raise
        except (ServiceError, OSError) as error:
            await self._finish(TrialStatus.FAILED, _failed(f"The {self._what} could not be run on this host: {error}"))
        except Exception as defect:  # repeated, it would come to the same, for ever
            self._parts.note(defect_text(f"trial {self._tag.unit}", defect))
            await self._finish(TrialStatus.FAILED, _failed(f"Dyno could not run the {self._what}: {told(defect)}"))
        else:
            await self._finish(ending.status, ending)

    async def say(self, message: str) -> None:
        """A line of the job's story."""
        line = LogLine(self._parts.clock.now(), message, self._index)
        await asyncio.to_thread(self._parts.store.log, self._claim.job.id, [line])

    async def _unless_stopped(self, work: Awaitable[Ending]) -> Ending:
        trial = self._claim.trial
        body = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait({body}, timeout=2 * self._parts.options.poll_seconds)
                if done:
                    return body.result()
                if await asyncio.to_thread(self._parts.store.stop_wanted, trial.id, trial.attempt):
                    raise Stopped
        finally:
            if not body.done():
                body.cancel()
                await asyncio.gather(body, return_exceptions=True)

    async def _finish(self, status: TrialStatus, ending: Ending) -> None:
        trial = self._claim.trial
        reason, tail = ending.failure or (None, "")

        def write() -> bool:
            return self._parts.store.finish_trial(
                trial.id,
                trial.attempt,
                status,
                self._parts.clock.now(),
                result=ending.result,
                failure_reason=reason,
                log_tail=tail,
                run_off=ending.run_off,
            )

        if await asyncio.to_thread(write):
            await self.say(self._words(status, ending))


def _failed(reason: str, log_tail: str = "") -> Ending:
    return Ending(failure=(reason, log_tail))
