"""A trial is one unit: deploy, load, tear down. Its windows are written as they come.

How it is stopped, superseded or ended is `engine/attempt.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from modeldyno.domain import statistics
from modeldyno.domain.abandonment import Bar, bar_of
from modeldyno.domain.errors import ModelFault, ServiceError
from modeldyno.domain.figures import figures_of, open_loop_of
from modeldyno.domain.measurement import Window
from modeldyno.domain.quality import close_call, flags_of, open_loop_flags, price_flags
from modeldyno.domain.saturation import SaturationSearch
from modeldyno.domain.statistics import relative_half_width
from modeldyno.domain.stopping import ClosedLoopPolicy, Measured, PatternPolicy, Policy
from modeldyno.domain.sustainable import SustainableSearch
from modeldyno.domain.trial import Flag, TrialResult, TrialStatus
from modeldyno.engine.attempt import Attempt, Ending, Superseded
from modeldyno.engine.deployment import Deployment
from modeldyno.engine.driving import Driven, drive
from modeldyno.engine.materials import Materials
from modeldyno.engine.parts import Parts
from modeldyno.engine.sites import Site
from modeldyno.ports import Claim, Instance, LoadSession, Tag


class TrialRun:
    """One attempt at one trial."""

    def __init__(self, parts: Parts, claim: Claim, tag: Tag, site: Site, materials: Materials) -> None:
        self._parts = parts
        self._site = site
        self._claim = claim
        self._tag = tag
        self._attempt = Attempt(parts, claim, tag, _ending, claim.trial.spec.index)
        self._say = self._attempt.say
        self._materials = materials
        self._spec = claim.trial.spec
        self._bar: Bar | None = None

    async def run(self) -> None:
        """Measure, and write how it ended. Cancelled: everything is torn down and nothing is written.

        Raises:
            StoreUnreachable: the database is away; the trial is torn down and has no end yet.
        """
        await self._attempt.carry_out(self._measure())

    async def _measure(self) -> Ending:
        await self._say(f"{self._told()} (attempt {self._tag.attempt}).")
        deployment = await self._deployment()
        fetch_seconds = await self._fetch_seconds() if self._spec.serverless else 0.0
        await asyncio.to_thread(statistics.prepare)
        log_path = self._parts.log_path(self._claim.job, self._spec.index)
        async with self._site.open(deployment.request(self._tag, log_path, self._say)) as instance:
            setup_seconds = fetch_seconds + instance.setup_seconds if self._spec.serverless else None
            cold = "" if setup_seconds is None else f" after a cold start of {setup_seconds:.3f} s"
            await self._say(f"In service{cold}: {instance.runtime or instance.url}. Load begins.")
            async with self._parts.generator.drive(deployment.target(self._site.urls(instance))) as session:
                policy = self._policy()
                started = self._parts.clock.now()
                driven = await self._drive(instance, session, policy)
                ended = self._parts.clock.now()
                result, failure = self._concluded(instance, policy.measured(), driven, started, ended)
                if result is not None and failure is None:
                    result = await self._with_open_loop(instance, session, policy, result)
            return Ending(result and replace(result, setup_seconds=setup_seconds), failure)

    async def _deployment(self) -> Deployment:
        job, placement = self._claim.job, self._claim.trial.placement
        material = await self._materials.of(job, self._spec.specification, self._spec.compiled)
        if placement is None:
            raise ServiceError("the trial was claimed without a place")
        return Deployment(self._parts, job, self._spec, material, placement)

    async def _fetch_seconds(self) -> float:
        began = self._parts.clock.monotonic()
        await self._materials.fetch_afresh(self._claim.job, self._spec.specification, self._spec.compiled)
        return self._parts.clock.monotonic() - began

    async def _with_open_loop(
        self, instance: Instance, session: LoadSession, closed: ClosedLoopPolicy, result: TrialResult
    ) -> TrialResult:
        """The result with the sustainable rate beside its figures, which it never changes."""
        spec, seconds = self._claim.job.spec, self._parts.options.open_loop_seconds
        threshold = spec.rules.threshold
        asked = spec.open_loop and seconds > 0 and not {Flag.CANNOT_WIN, Flag.LIVE_TRAFFIC} & result.flags.keys()
        asked = asked and self._spec.serverless is None
        if threshold is None or not asked or not isinstance(closed, SaturationSearch):
            return result
        await self._say("Arrivals that do not wait: the search for the rate that holds the threshold begins.")
        search, driven = SustainableSearch(threshold, closed.peak_per_second, seconds), Driven()
        died = None
        try:
            await self._drive(instance, session, search, driven)
        except ModelFault as fault:
            died = fault.reason
        told = open_loop_of(search, driven.windows, died)
        flags = open_loop_flags(told, driven.windows, threshold, driven.foreign_share())
        return replace(result, open_loop=told, flags={**result.flags, **flags})

    async def _drive(
        self, instance: Instance, session: LoadSession, policy: Policy, driven: Driven | None = None
    ) -> Driven:
        async def each(window: Window, driven: Driven) -> str | None:
            await self._write(window)
            await self._tell_bar(policy, driven)
            return await self._site.strain()

        placement = self._claim.trial.placement
        fills_host = placement is not None and placement.fills_host
        return await drive(instance, session, policy, each, fills_host=fills_host, driven=driven)

    async def _tell_bar(self, policy: Policy, driven: Driven) -> None:
        """Tell a search what its configuration must reach to win, as far as the job's trials have shown by now."""
        if not isinstance(policy, SaturationSearch) or self._spec.existing is not None:
            return
        job = self._claim.job
        if len(driven.windows) == 1 or job.spec.max_parallel > 1:
            trials = await asyncio.to_thread(self._parts.store.trials, job.id)
            self._bar = bar_of(job.spec, self._spec.instance_type, trials)
        policy.bar = self._bar.lowered(driven.foreign_share()) if self._bar is not None else None

    async def _write(self, window: Window) -> None:
        trial = self._claim.trial
        if not await asyncio.to_thread(self._parts.store.add_window, trial.id, trial.attempt, window):
            raise Superseded

    def _concluded(
        self, instance: Instance, measured: Measured, driven: Driven, started: float, ended: float
    ) -> tuple[TrialResult | None, tuple[str, str] | None]:
        rules = self._claim.job.spec.rules
        placement = self._claim.trial.placement
        limit = placement.memory_bytes if placement else None
        figures = figures_of(measured, driven.windows, rules, limit)
        if figures is None:
            return None, (_model_error(measured.failure or "no invocation was answered"), instance.log_tail())
        foreign = driven.foreign_share_in(measured.windows)
        figures = replace(figures, foreign_percent=None if foreign is None else 100.0 * foreign)
        flags = flags_of(
            measured.windows,
            relative_half_width=relative_half_width(measured.windows),
            foreign_share=foreign,
            stopped=driven.cut_short is not None,
            load=driven.windows,
        )
        environment = instance.effective_environment
        close = close_call(figures, rules) if measured.undecided else {}
        lost = {Flag.CANNOT_WIN: measured.cannot_win} if measured.cannot_win is not None else {}
        every = {**instance.flags, **price_flags(self._spec.instance_type), **flags, **close, **lost}
        reason = driven.cut_short or measured.reason
        result = TrialResult(figures, reason, every, started, ended, environment, instance.runtime)
        if measured.failure is None:
            return result, None
        failing = figures.failed > 0
        reason = _model_error(measured.failure) if failing else f"No load held: {measured.failure}."
        return result, (reason, instance.log_tail() if failing else "")

    def _policy(self) -> ClosedLoopPolicy:
        spec = self._claim.job.spec
        if spec.traffic is not None:
            return PatternPolicy(spec.traffic, spec.rules, concurrency=self._concurrency)
        options = self._parts.options
        return SaturationSearch(
            spec.rules, max_users=self._concurrency or options.max_users, max_seconds=options.max_trial_seconds
        )

    @property
    def _concurrency(self) -> int | None:
        return self._spec.serverless.concurrency if self._spec.serverless else None

    def _told(self) -> str:
        if self._spec.existing is not None:
            return f"Measuring the endpoint {self._spec.endpoint_name} as it serves"
        spec = self._spec
        setting = "".join(f" {name}={value}" for name, value in spec.tuned.items())
        setting += f" of {spec.specification}" if spec.specification is not None else ""
        what = "the compiled model on " if spec.compiled else ""
        return f"Deploying {what}{spec.title}{setting} as {self._spec.endpoint_name}"


def _ending(status: TrialStatus, ending: Ending) -> str:
    result = ending.result
    if result is None or ending.failure is not None:
        return f"{status}: {ending.failure[0] if ending.failure else None}"
    figures = result.figures
    text = (
        f"{status}: {figures.capacity_per_minute:.0f} invocations a minute, p{figures.percentile:g} "
        f"{figures.latency_ms:.1f} ms at {figures.users} users; the load ended because {result.stop_reason}."
    )
    rate = result.open_loop.per_minute if result.open_loop else None
    return text if rate is None else f"{text} Arrivals that do not wait: {rate:.0f} a minute hold the threshold."


def _model_error(why: str) -> str:
    """Source of the first words: the error messages of the SageMaker developer guide, troubleshooting."""
    return f"ModelError when calling InvokeEndpoint operation: {why}."
