"""What the trials of a job share on this host: the unpacked model, its sources, and the payloads."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from modeldyno.domain.errors import InputFault, ObjectError
from modeldyno.domain.job import Job
from modeldyno.domain.model import ModelSource
from modeldyno.domain.trial import CompiledModel
from modeldyno.ports import ArchiveLimits, ObjectStore

SUBMIT_VARIABLE = "SAGEMAKER_SUBMIT_DIRECTORY"
_PAYLOAD_LIMITS = ArchiveLimits(total_bytes=2 * 1024**3, members=100_000)
_MODEL_LIMITS = ArchiveLimits()


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Directories that model servers read and never write; None where the model has none."""

    model_dir: Path | None
    code_dir: Path | None


@dataclass(frozen=True, slots=True)
class Material:
    """Directories that trials read and never write."""

    payload_dir: Path
    model_dir: Path | None
    code_dir: Path | None


class Materials:
    """One directory a job under `root`. Unpacking is atomic, so what is there is whole, also after a crash."""

    def __init__(self, objects: ObjectStore, root: Path) -> None:
        self._objects = objects
        self._root = root
        self._locks: dict[str, asyncio.Lock] = {}

    async def of(self, job: Job, specification: str | None = None, compiled: CompiledModel | None = None) -> Material:
        """The job's material, with the model of that specification or `compiled` in its place, fetched when it is not
        there yet.

        Raises:
            InputFault: an object is missing, or an archive cannot be used; names which one and why.
        """
        lock = self._locks.setdefault(job.id, asyncio.Lock())
        async with lock:
            return await asyncio.to_thread(self._fetch, job, specification, compiled)

    async def fetch_afresh(
        self, job: Job, specification: str | None = None, compiled: CompiledModel | None = None
    ) -> None:
        """Fetch and unpack the model's files once more, as a cold start has to, and drop them.

        Raises:
            InputFault: as `of`.
        """
        await asyncio.to_thread(self._fetch_afresh, job, specification, compiled)

    async def of_model(self, key: str, source: ModelSource) -> ModelFiles:
        """A model's files alone, in a directory of that name.

        Raises:
            InputFault: as `of`.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            return await asyncio.to_thread(self._model, source, self._root / key)

    def keep_only(self, job_ids: Collection[str]) -> None:
        """Remove the directories of all other jobs (or models, by their keys)."""
        if not self._root.is_dir():
            return
        for entry in self._root.iterdir():
            if entry.name not in job_ids:
                shutil.rmtree(entry, ignore_errors=True)
                self._locks.pop(entry.name, None)

    def _fetch_afresh(self, job: Job, specification: str | None, compiled: CompiledModel | None) -> None:
        home = self._root / job.id
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetched-", dir=home) as fresh:
            self._model(compiled.source if compiled else job.spec.deployed(specification).model, Path(fresh))

    def _fetch(self, job: Job, specification: str | None, compiled: CompiledModel | None) -> Material:
        home = self._root / job.id
        home.mkdir(parents=True, exist_ok=True)
        payload = self._unpacked("sample payload", job.spec.payload.url, home / "payload", _PAYLOAD_LIMITS)
        if compiled is not None:
            model = self._model(compiled.source, home / compiled.compilation_job)
            return Material(payload, model.model_dir, model.code_dir)
        place = home if specification is None else home / "specifications" / specification
        model = self._model(job.spec.deployed(specification).model, place)
        return Material(payload, model.model_dir, model.code_dir)

    def _model(self, source: ModelSource, home: Path) -> ModelFiles:
        home.mkdir(parents=True, exist_ok=True)
        url = source.model_data_url
        model = self._unpacked("model", url, home / "model", _MODEL_LIMITS) if url else None
        submit = source.environment.get(SUBMIT_VARIABLE, "")
        remote = submit.startswith("s3://")
        code = self._unpacked(SUBMIT_VARIABLE, submit, home / "code", _MODEL_LIMITS) if remote else None
        return ModelFiles(model, code)

    def _unpacked(self, what: str, url: str, target: Path, limits: ArchiveLimits) -> Path:
        if target.is_dir():
            return target
        try:
            facts = self._objects.unpack(url, target, limits)
        except ObjectError as error:
            raise InputFault(f"The {what} cannot be read: {error}") from error
        except InputFault as fault:
            raise InputFault(f"The {what} {url} cannot be used: {fault.reason}") from fault
        if facts.files == 0:
            raise InputFault(f"The {what} {url} holds no files.")
        return target
