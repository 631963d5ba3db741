"""One configuration of a job at its place: what is deployed there, and how it is driven."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from modeldyno.domain.job import Job
from modeldyno.domain.trial import Placement, TrialSpec
from modeldyno.engine.materials import Material
from modeldyno.engine.parts import Parts
from modeldyno.ports import DeployRequest, LoadTarget, Tag


@dataclass(frozen=True, slots=True)
class Deployment:
    """A configuration, its material, and where it gets its cores and its memory."""

    parts: Parts
    job: Job
    spec: TrialSpec
    material: Material
    placement: Placement

    def request(self, tag: Tag, log_path: Path, on_progress: Callable[[str], Awaitable[None]]) -> DeployRequest:
        """The server to start. `on_progress`: as of a `DeployRequest`."""
        spec = self.spec
        log_path.parent.mkdir(parents=True, exist_ok=True)
        return DeployRequest(
            tag=tag,
            spec=spec,
            placement=self.placement,
            source=spec.compiled.source if spec.compiled else self.job.spec.deployed(spec.specification).model,
            model_dir=self.material.model_dir,
            code_dir=self.material.code_dir,
            environment=spec.environment,
            log_path=log_path,
            startup_seconds=self.parts.options.startup_seconds,
            on_progress=on_progress,
        )

    def target(self, urls: tuple[str, ...]) -> LoadTarget:
        """What the generator drives, where it answers."""
        spec = self.job.spec
        return LoadTarget(
            url=urls[0],
            also=urls[1:],
            payload_dir=self.material.payload_dir,
            content_type=spec.payload.content_type,
            accept=spec.deployed(self.spec.specification).accept,
            seed=spec.seed,
            timeout_seconds=self.parts.options.request_timeout_seconds,
            cores=self.placement.generator_cores,
        )
