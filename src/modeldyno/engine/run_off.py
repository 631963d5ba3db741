"""A run-off as one unit: deploy the leaders, load them in turns, tear down (`domain/run_off.py` has the rules).

1. It has the host to itself. Where the memory holds them all are deployed at once, and the others are idle while one is
   loaded, on the very cores that its trial had; else each is deployed anew for its turns.
2. A turn begins with new connections and a settling window; nothing of the turn before is in flight after that.
3. It is claimed, renewed, fenced, stopped and repeated as a trial is, since it is a row among them; what goes wrong
   ends it and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from modeldyno.domain import statistics
from modeldyno.domain.errors import InputFault, ModelFault, ServiceError
from modeldyno.domain.host import Host, at_once, place
from modeldyno.domain.leaders import contender_of, with_note
from modeldyno.domain.measurement import Window
from modeldyno.domain.run_off import FEWEST_ROUNDS, MOST_WINDOWS, Rounds, Turn, turn_windows
from modeldyno.domain.stopping import failing, too_many_failures
from modeldyno.domain.trial import Figures, Trial, TrialStatus
from modeldyno.engine.attempt import Attempt, Ending
from modeldyno.engine.deployment import Deployment
from modeldyno.engine.group import tags_of
from modeldyno.engine.materials import Materials
from modeldyno.engine.parts import Parts
from modeldyno.ports import Claim, Instance, LoadSession, Tag

_AS_MEASURED = 0.9  # of its trial's throughput: warm
_NO_FASTER = 1.03  # over the window before: as warm as it gets
_WARMING_WINDOWS = 6  # at most, chosen: a model that needs longer is compared as warm as it is by then
_BRIEF_MS = 100.0  # answers that take no longer are in before the next turn's settling window is over
_MOST_TIMES = 5  # of the run-off's seconds: longer it may not take to deploy


class RunOffRun:
    """One attempt at a job's run-off."""

    def __init__(self, parts: Parts, claim: Claim, tag: Tag, materials: Materials, host: Host) -> None:
        self._parts = parts
        self._claim = claim
        self._tag = tag
        self._materials = materials
        self._host = host
        self._attempt = Attempt(parts, claim, tag, _words)

    async def run(self) -> None:
        """Hold it, and write how it ended. Cancelled: everything is torn down and nothing is written.

        Raises:
            StoreUnreachable: the database is away; all is torn down and there is no end yet.
        """
        await self._attempt.carry_out(self._held())

    async def _held(self) -> Ending:
        job, options = self._claim.job, self._parts.options
        measured = await asyncio.to_thread(self._parts.store.trials, job.id)
        leaders = [measured[spec.index] for spec in self._claim.trial.spec.contenders]
        beside = at_once([trial.spec.instance_type for trial in leaders], self._host)
        together = beside > 1
        leaders = leaders[: max(2, beside)]
        self._refuse_long(leaders, 1 if together else FEWEST_ROUNDS)
        await self._attempt.say(
            f"Run-off: {_listed([trial.spec.told for trial in leaders])} are measured again in turns."
        )
        await asyncio.to_thread(statistics.prepare)
        seconds = options.run_off_seconds * (1 if together else _MOST_TIMES)
        rounds = Rounds(tuple(contender_of(trial) for trial in leaders), seconds)
        seats = {trial.spec.index: await self._seat(trial, place) for place, trial in enumerate(leaders)}
        clock = self._parts.clock
        async with AsyncExitStack() as stack:
            if together:
                await _all([seat.deploy(stack) for seat in seats.values()])
                for seat in seats.values():
                    await seat.warm(stack)
            began = clock.monotonic()
            while order := rounds.next_round(clock.monotonic() - began):
                for index in order:
                    rounds.add(await seats[index].turn(rounds.round))
            passed = clock.monotonic() - began
        ended = rounds.concluded(together=together, seconds=passed)
        return Ending(run_off=with_note(ended, {trial.spec.index: trial.spec for trial in leaders}))

    def _refuse_long(self, leaders: Sequence[Trial], times: int) -> None:
        """What deploying took in the trials tells what it will take now."""
        known = [trial.result.load_started_at - (trial.started_at or 0.0) for trial in leaders if trial.result]
        needed, most = times * sum(known), _MOST_TIMES * self._parts.options.run_off_seconds
        if needed > most:
            raise InputFault(
                f"To deploy the leaders again would take {needed:.0f} s, more than the {most:.0f} s allowed."
            )

    async def _seat(self, trial: Trial, number: int) -> _Seat:
        job, spec = self._claim.job, trial.spec
        placement = place(spec.instance_type, self._host, ())
        assert placement is not None  # on an empty host
        assert trial.result is not None  # leaders were measured
        material = await self._materials.of(job, spec.specification, spec.compiled)
        deployment = Deployment(self._parts, job, spec, material, placement)
        tag = tags_of(self._tag, self._claim.trial.spec)[number]
        return _Seat(deployment, tag, self._claim.trial.spec.index, trial.result.figures, self._attempt.say)


class _Seat:
    """One contender: its server, while there is one, and the generator that drives it."""

    def __init__(
        self, deployment: Deployment, tag: Tag, index: int, figures: Figures, say: Callable[[str], Awaitable[None]]
    ) -> None:
        self._deployment = deployment
        self._parts = deployment.parts
        self._tag = tag
        self._index = index
        self._say = say
        self._users = figures.users
        self._brief = figures.latency_ms <= _BRIEF_MS
        self._per_second = figures.capacity_per_minute / 60
        self._instance: Instance | None = None
        self._session: LoadSession | None = None
        self._windows: AsyncIterator[Window] | None = None

    async def deploy(self, stack: AsyncExitStack) -> None:
        """Start its server."""
        log = self._parts.log_path(self._deployment.job, self._index)
        own = log.with_name(f"{log.stem}-{self._deployment.spec.index}{log.suffix}")
        request = self._deployment.request(self._tag, own, self._say)
        self._instance = await stack.enter_async_context(self._parts.backend.deploy(request))

    async def warm(self, stack: AsyncExitStack) -> None:
        """Load its server until it is as fast as in its trial, or no longer gets faster."""
        assert self._instance is not None  # it is deployed
        target = self._deployment.target((self._instance.url,))
        self._session = await stack.enter_async_context(self._parts.generator.drive(target))
        self._windows = self._session.windows()
        began, before = self._parts.clock.now(), 0.0
        await self._session.set_users(self._users)
        for _ in range(_WARMING_WINDOWS):
            rate = (await self._window(began)).per_second
            if rate >= _AS_MEASURED * self._per_second or 0 < rate <= _NO_FASTER * before:
                break
            before = rate
        self._per_second = rate
        await self._quieten(self._session)

    async def turn(self, number: int) -> Turn:
        """Its turn in that round; where it is not deployed, it is for this turn alone."""
        if self._session is not None:
            return await self._turn(self._session, number, turn_windows(self._per_second))
        async with AsyncExitStack() as stack:
            await self.deploy(stack)
            await self.warm(stack)
            assert self._session is not None  # it is open
            try:
                return await self._turn(self._session, number, MOST_WINDOWS)  # deploying took longer anyhow
            finally:
                self._session = None

    async def _turn(self, session: LoadSession, number: int, windows: int) -> Turn:
        began = self._parts.clock.now()
        await session.set_users(self._users, redraw=True)
        taken = [await self._window(began) for _ in range(windows)]
        await self._quieten(session)
        answered = sum(window.succeeded for window in taken)
        if not answered or too_many_failures(taken, self._deployment.job.spec.rules):
            raise ModelFault(f"In its turn {failing(taken)} ({self._deployment.spec.told}).", self._log_tail())
        seconds = sum(window.duration_seconds for window in taken)
        return Turn(self._deployment.spec.index, number, taken[0].started_at, seconds, answered)

    async def _window(self, began: float) -> Window:
        """The next whole one under the load that began then."""
        while True:
            window = await self._next()
            if window.users == self._users and not window.settling and window.started_at >= began:
                return window

    async def _quieten(self, session: LoadSession) -> None:
        """Nothing more is sent, and what is in flight comes to its end."""
        await session.set_users(0)
        while not self._brief and ((window := await self._next()).users or window.in_flight):
            pass

    async def _next(self) -> Window:
        assert self._windows is not None  # it is open
        assert self._instance is not None
        window = await anext(self._windows, None)
        if window is None:
            raise ServiceError("the load generator ended before the load was over")
        if (death := self._instance.death()) is not None:
            raise ModelFault(f"The model server of {self._deployment.spec.told} {death}.", self._log_tail())
        return window

    def _log_tail(self) -> str:
        return self._instance.log_tail() if self._instance is not None else ""


async def _all(works: Sequence[Awaitable[None]]) -> None:
    """All of them beside each other; raises what the first that failed did, once none goes on."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _words(status: TrialStatus, ending: Ending) -> str:
    if ending.run_off is not None:
        return ending.run_off.note
    return f"The run-off is {status}."  # why, the end of the job tells


def _listed(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1]))
