"""Compiling the models of jobs that ask for it: before their trials, and with nothing measured on the host meanwhile.

1. The compilation is a row; whoever adds it compiles, and keeps it fresh. One that went stale (its worker is dead) is
   taken over, as is one that this worker left in a former life: compiling again comes to the same.
2. Once the artifact is stored, the row says COMPLETED; then the job gets a trial of the compiled model beside each one
   of the plain model. A crash in between is made good by whoever looks next.
3. Whatever goes wrong ends the compilation, never the job: its log says why, and it goes on with the plain model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import msgspec

from modeldyno.domain.compilation import (
    LIMIT_SECONDS,
    Compilation,
    CompilationStatus,
    cannot_compile,
    compiled_image,
    read_inputs,
)
from modeldyno.domain.errors import DynoError, ResourceInUse, ResourceNotFound, StoreUnreachable, TrialFailure
from modeldyno.domain.images import classify
from modeldyno.domain.job import Job
from modeldyno.domain.names import arn_of, compilation_name, keep_end, parse_arn
from modeldyno.domain.plan import compiled_twins
from modeldyno.domain.resource import Kind, Resource
from modeldyno.domain.trial import CompiledModel
from modeldyno.engine.defects import defect_text, told
from modeldyno.engine.materials import Materials
from modeldyno.engine.parts import Parts
from modeldyno.ports import CompileRequest, LogLine, Tag

_REASON_CHARACTERS = 1024
_LOG_BYTES = 64 * 1024
_STOPPED = "The job was stopped."


class Compilations:
    """One worker's compilations: one at a time."""

    def __init__(self, parts: Parts, worker_id: str, materials: Materials) -> None:
        self._parts = parts
        self._worker_id = worker_id
        self._materials = materials
        self._decided: set[str] = set()
        self._running: tuple[Job, asyncio.Task[None]] | None = None

    @property
    def busy(self) -> bool:
        """Whether one runs."""
        return self._running is not None and not self._running[1].done()

    def pending(self, job: Job) -> bool:
        """Whether it is not decided yet if the job measures a compiled model."""
        if job.spec.compilation is None or job.id in self._decided or job.stop_requested:
            return False
        return cannot_compile(job.spec, self._parts.runtimes) is None

    async def next(self, jobs: Sequence[Job]) -> Job | None:
        """The first job whose compilation is for this worker to carry on now."""
        for job in jobs:
            if self.pending(job) and await asyncio.to_thread(self._is_ours, job):
                return job
        return None

    def start(self, job: Job) -> None:
        """Begin, or go on."""
        self._running = job, asyncio.create_task(self._guarded(job))

    async def keep_to(self, jobs: Sequence[Job]) -> None:
        """End the compilation of a job that is to stop, or is none of these."""
        if self._running is None:
            return
        mine = self._running[0]
        if not any(job.id == mine.id and not job.stop_requested for job in jobs):
            await self.end()
            await asyncio.to_thread(self._fail_open, mine)

    async def end(self) -> None:
        """End what runs; nothing of it is left on the host, and it can be carried on."""
        if self._running is not None:
            task = self._running[1]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._running = None

    # --- whose it is ---

    def _row(self, job: Job) -> Resource | None:
        try:
            return self._parts.store.resource(Kind.COMPILATION, job.region, compilation_name(job.name, job.id))
        except ResourceNotFound:
            return None

    def _is_ours(self, job: Job) -> bool:
        row = self._row(job)
        if row is None or row.status != CompilationStatus.INPROGRESS:
            return True
        stale = self._parts.clock.now() - row.modified_at > self._parts.options.lease_seconds
        return stale or row.document["worker_id"] == self._worker_id

    def _claim(self, job: Job) -> Compilation | None:
        """The job's compilation: a new one, or one to take over or to conclude; None: another worker was faster."""
        row = self._row(job)
        now = self._parts.clock.now()
        if row is None:
            fresh = self._compilation(job, now)
            try:
                self._parts.store.add_resource(_resource(fresh))
            except ResourceInUse:
                return None
            return fresh
        known = msgspec.convert(row.document, Compilation)
        if known.status is not CompilationStatus.INPROGRESS:
            return known
        return self._changed(replace(known, worker_id=self._worker_id, modified_at=now))

    def _compilation(self, job: Job, now: float) -> Compilation:
        order, choice = job.spec.compilation, classify(job.spec.model, self._parts.runtimes)
        arn, name = parse_arn(job.arn), compilation_name(job.name, job.id)
        assert order is not None
        assert order.data_input_config is not None
        assert choice.framework is not None
        assert arn is not None
        return Compilation(
            name=name,
            arn=arn_of(Kind.COMPILATION, job.region, arn.account, name),
            region=job.region,
            job_id=job.id,
            role_arn=str(job.document.get("RoleArn", "")),
            model=job.spec.model,
            framework=choice.framework,
            framework_version=choice.version,
            inputs=order.data_input_config,
            output_url=order.output_url,
            image=compiled_image(choice.framework, choice.version),
            status=CompilationStatus.INPROGRESS,
            worker_id=self._worker_id,
            created_at=now,
            modified_at=now,
        )

    def _changed(self, compilation: Compilation) -> Compilation:
        fresh = _resource(compilation)
        self._parts.store.update_resource(Kind.COMPILATION, compilation.region, compilation.name, lambda _: fresh)
        return compilation

    def _ended(self, compilation: Compilation, status: CompilationStatus, reason: str = "") -> Compilation:
        now = self._parts.clock.now()
        reason = keep_end(reason, _REASON_CHARACTERS)
        return self._changed(replace(compilation, status=status, modified_at=now, ended_at=now, failure_reason=reason))

    def _fail_open(self, job: Job) -> None:
        row = self._row(job)
        if row is not None and row.status == CompilationStatus.INPROGRESS:
            self._ended(msgspec.convert(row.document, Compilation), CompilationStatus.FAILED, _STOPPED)

    # --- one compilation ---

    async def _guarded(self, job: Job) -> None:
        try:
            await self._carry_on(job)
        except DynoError as error:  # the database is away: the next round goes on
            self._parts.note(f"the compilation of job {job.name}: {error}")
            await self._parts.clock.sleep(1.0)
        except Exception as defect:  # tried again, it would come to the same, for ever
            self._parts.note(defect_text(f"the compilation of job {job.name}", defect))
            self._decided.add(job.id)

    async def _carry_on(self, job: Job) -> None:
        compilation = await asyncio.to_thread(self._claim, job)
        if compilation is None:
            return
        if compilation.status is CompilationStatus.INPROGRESS:
            compilation = await self._compiled(job, compilation)
        if compilation.status is CompilationStatus.COMPLETED:
            await self._extend(job, compilation)
        else:
            self._decided.add(job.id)

    async def _compiled(self, job: Job, compilation: Compilation) -> Compilation:
        """The compilation at its end."""
        await self._say(job, f"Compiling the model to ONNX, as compilation job {compilation.name}.")
        log_path = self._parts.log_path(job, 0).with_name("compilation.log")
        freshener = asyncio.create_task(self._keep_fresh(compilation))
        try:
            words = await self._made(job, compilation, log_path)
            reason = None
        except StoreUnreachable:
            raise
        except (DynoError, OSError) as fault:
            reason = fault.reason if isinstance(fault, TrialFailure) else str(fault)
        except Exception as defect:  # repeated, it would come to the same, for ever
            self._parts.note(defect_text(f"the compilation of job {job.name}", defect))
            reason = f"Dyno could not compile it: {told(defect)}"
        finally:
            freshener.cancel()
            await asyncio.gather(freshener, return_exceptions=True)
        lines = await asyncio.to_thread(_last_lines, log_path)
        if reason is None:
            told_words = f"Compiled as {compilation.name} for {compilation.image}: {words}."
            ended = await self._at_end(compilation, CompilationStatus.COMPLETED, "", [*lines, told_words])
        else:
            reason = reason.rstrip(".")
            told_words = f"The model is not compiled: {reason}. The job goes on with the plain model."
            ended = await self._at_end(compilation, CompilationStatus.FAILED, reason, [*lines, told_words])
        await self._say(job, told_words)
        return ended

    async def _at_end(
        self, compilation: Compilation, status: CompilationStatus, reason: str, story: Sequence[str]
    ) -> Compilation:
        ended = await asyncio.to_thread(self._ended, compilation, status, reason)
        await asyncio.to_thread(self._parts.store.tell, ended.arn, self._parts.clock.now(), *story)
        return ended

    async def _made(self, job: Job, compilation: Compilation, log_path: Path) -> str:
        material = await self._materials.of(job)
        log_path.parent.mkdir(parents=True, exist_ok=True)
        target = self._parts.work_dir / job.id / "compiled.tar.gz"
        payload = job.spec.payload
        request = CompileRequest(
            tag=Tag(self._parts.store.installation, self._worker_id, f"{job.id}-compilation", 1),
            source=compilation.model,
            model_dir=material.model_dir,
            code_dir=material.code_dir,
            payload_dir=material.payload_dir,
            content_type=payload.content_type,
            accept=payload.accept,
            inputs=read_inputs(compilation.inputs),
            target=target,
            log_path=log_path,
            limit_seconds=LIMIT_SECONDS,
            on_progress=partial(self._say, job),
        )
        try:
            words = await self._parts.compiler.compile(request)
            await asyncio.to_thread(self._parts.objects.put, compilation.artifact_url, target)
        finally:
            target.unlink(missing_ok=True)
        return words

    async def _keep_fresh(self, compilation: Compilation) -> None:
        """That others see it is not stale."""
        while True:
            await self._parts.clock.sleep(self._parts.options.lease_seconds / 5)
            await asyncio.to_thread(self._freshen, compilation, self._parts.clock.now())

    def _freshen(self, compilation: Compilation, now: float) -> None:
        fresh = _resource(replace(compilation, modified_at=now))

        def change(row: Resource) -> Resource:
            return fresh if row.status == CompilationStatus.INPROGRESS else row

        self._parts.store.update_resource(Kind.COMPILATION, compilation.region, compilation.name, change)

    async def _extend(self, job: Job, compilation: Compilation) -> None:
        """Add the trials of the compiled model, unless they are there."""
        store = self._parts.store
        trials = await asyncio.to_thread(store.trials, job.id)
        if any(trial.spec.compiled is not None for trial in trials):
            self._decided.add(job.id)
            return
        source = replace(compilation.model, image=compilation.image, model_data_url=compilation.artifact_url)
        model = CompiledModel(compilation.name, source)
        twins = compiled_twins(job.spec, [trial.spec for trial in trials], model, job.name, job.id)
        if not twins:
            self._decided.add(job.id)
            alone = all(trial.spec.existing is not None for trial in trials)
            why = "an endpoint alone is" if alone else f"the job is limited to {len(trials)} tests"
            await self._say(job, f"The compiled model is not measured: {why}.")
        elif await asyncio.to_thread(store.extend_job, job.id, twins, self._parts.clock.now()):
            self._decided.add(job.id)
            await self._say(job, f"{len(twins)} more trials: the compiled model beside the plain one.")

    async def _say(self, job: Job, message: str) -> None:
        line = LogLine(self._parts.clock.now(), message)
        await asyncio.to_thread(self._parts.store.log, job.id, [line])


def _resource(compilation: Compilation) -> Resource:
    return Resource(
        kind=Kind.COMPILATION,
        region=compilation.region,
        name=compilation.name,
        arn=compilation.arn,
        status=str(compilation.status),
        created_at=compilation.created_at,
        modified_at=compilation.modified_at,
        document=asdict(compilation),
        labels={"job_id": compilation.job_id},
    )


def _last_lines(path: Path) -> list[str]:
    """The end of what the model's code wrote."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _LOG_BYTES))
            return [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return []
