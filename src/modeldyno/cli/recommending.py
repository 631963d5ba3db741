"""What `dyno recommend` does: store the inputs, submit, follow, tell. A dry run submits to a throwaway directory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.app.supervisor import local_worker
from modeldyno.cli.detection import demand_script, detect
from modeldyno.cli.jobs import forget_inputs, stop_and_wait
from modeldyno.cli.options import INTERRUPTED, named, terminable
from modeldyno.cli.packing import pack_model, pack_payload
from modeldyno.cli.progress import follow
from modeldyno.cli.request import Wish, job_name, job_request, model_request, role_arn
from modeldyno.cli.results import json_text, show
from modeldyno.domain.errors import InvalidRequest, ResourceInUse, ResourceNotFound
from modeldyno.domain.host import cannot_be
from modeldyno.domain.images import Framework
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.plan import Plan, estimated_seconds, plan
from modeldyno.domain.trial import TrialSpec
from modeldyno.ui import words
from modeldyno.ui.tables import configuration_cell, plain_table

if TYPE_CHECKING:
    from modeldyno.settings import Settings

AUTO = "auto"
_SCRIPT_VARIABLES = frozenset({"SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY"})  # the script is elsewhere


@dataclass(frozen=True, slots=True)
class Output:
    """How the answer is told. `html` None: the report goes beside the job's result in the data directory."""

    json: bool
    html: Path | None
    target_per_minute: int | None


def tell(text: str) -> None:
    """A line of progress: on standard error, so that standard output holds the answer alone."""
    typer.echo(text, err=True)


def choose(framework: str, framework_version: str | None, image: str | None, model: Path, **rest: Any) -> Wish:
    """The wish with its framework: as told, of the image, or found in the model's files.

    Raises:
        InvalidRequest: no such framework, or none can be found, or the script that it needs is not there.
    """
    if framework != AUTO:
        chosen, version = _named(framework), framework_version
    elif image is not None:
        chosen, version = None, framework_version
    else:
        found = detect(model)
        chosen, version = found.framework, framework_version or found.version
        tell(f"Framework: {found.framework} {version or 'newest version'} ({found.evidence}).")
    if image is None and chosen is not None and _SCRIPT_VARIABLES.isdisjoint(rest["ranges"]):
        demand_script(model, chosen)
    return Wish(framework=chosen, framework_version=version, image=image, model=model, **rest)


def _named(framework: str) -> Framework:
    try:
        return Framework(framework)
    except ValueError:
        known = ", ".join((AUTO, *Framework))
        raise InvalidRequest(f"The framework {framework!r} is not known: choose one of {known}.") from None


def run(settings: Settings, region: str, wish: Wish, name: str | None, output: Output) -> int:
    """Run the job to its end; the exit status.

    0: COMPLETED. 1: any other end. 130: interrupted, and the job was stopped.
    """
    dyno = open_dyno(settings)
    try:
        with terminable():
            chosen = name or job_name(wish.model, dyno.entropy.token(6))
            submit(dyno, region, wish, chosen)
            status = carried_out(dyno, region, chosen)
            _answer(dyno, region, chosen, output)
            return status
    finally:
        dyno.close()


def submit(dyno: Dyno, region: str, wish: Wish, name: str) -> Job:
    """Store model, objects and job, in this order: a taken name changes nothing, and no worker finds half a job."""
    if _is_taken(dyno, region, name):
        raise ResourceInUse(f"There is a job {name} already: choose another --name, or delete it (dyno delete {name}).")
    role, prefix = role_arn(dyno.settings.account), f"s3://{dyno.settings.objects.recommend_bucket}/{name}"
    dyno.call("CreateModel", model_request(wish, name, f"{prefix}/model.tar.gz", role), region)
    try:
        _store(dyno, wish, prefix)
        return _create(dyno, region, wish, name, f"{prefix}/payload.tar.gz")
    except BaseException:
        forget_inputs(dyno, region, name)
        raise


def _is_taken(dyno: Dyno, region: str, name: str) -> bool:
    try:
        dyno.store.job(region, name)
    except ResourceNotFound:
        return False
    return True


def _store(dyno: Dyno, wish: Wish, prefix: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dyno-") as work:
        dyno.objects.put(f"{prefix}/model.tar.gz", pack_model(wish.model, Path(work) / "model.tar.gz"))
        dyno.objects.put(f"{prefix}/payload.tar.gz", pack_payload(wish.payload, Path(work) / "payload.tar.gz"))


def _create(dyno: Dyno, region: str, wish: Wish, name: str, payload_url: str) -> Job:
    """The job. The wire has no ranges for a Default job, so it is created beside it, with the same checks."""
    from modeldyno.operations.dispatch import validate
    from modeldyno.operations.recommendations import BeyondTheWire, create

    context = dyno.context(region)
    request = job_request(wish, name, payload_url, role_arn(dyno.settings.account))
    validate(context, "CreateInferenceRecommendationsJob", request)
    create(context, request, BeyondTheWire(wish.ranges, wish.thorough, wish.open_loop, wish.run_off))
    return dyno.store.job(region, name)


def carried_out(dyno: Dyno, region: str, name: str) -> int:
    """Follow a job to its end, carrying it out where nobody else does; the exit status as of `run`."""
    tell(f"Job: {name} (dyno watch {name} follows it elsewhere; Ctrl-C stops it)")
    with local_worker(dyno):
        try:
            job = follow(dyno, region, name, Console(stderr=True))
            return 0 if job.status is JobStatus.COMPLETED else 1
        except KeyboardInterrupt:
            tell("Stopping the job ...")
            stop_and_wait(dyno, region, name)
            return INTERRUPTED


def _answer(dyno: Dyno, region: str, name: str, output: Output) -> None:
    from modeldyno.ui.report import render_report

    result = dyno.result(region, name)
    if output.json:
        typer.echo(json_text(result, output.target_per_minute))
    else:
        show(result, output.target_per_minute)
    report = output.html or dyno.places.result(region, name).with_name("report.html")
    report.parent.mkdir(parents=True, exist_ok=True)
    with named(report):
        report.write_text(render_report(result, output.target_per_minute), encoding="utf-8")
    tell(f"\nReport: {report}")
    if result["job"]["failure_reason"] and (output.json or result["recommendations"]):  # else the answer has it
        tell(f"The job {name} is {result['job']['status']}: {result['job']['failure_reason']}")


def dry_run_of(settings: Settings, region: str, wish: Wish, *, json: bool) -> None:
    """Tell what `run` would try. Submitted to a throwaway directory that no worker serves: all checks, no effect."""
    with tempfile.TemporaryDirectory(prefix="dyno-") as work:
        dyno = open_dyno(msgspec.structs.replace(settings, data_dir=work, database=None))
        try:
            job = submit(dyno, region, wish, job_name(wish.model, dyno.entropy.token(6)))
            host = dyno.host()
            planned = plan(job.spec, dyno.catalogue, host, settings.runtimes, job.name, job.id)
        finally:
            dyno.close()
    doubts = {trial.index: cannot_be(trial.instance_type, host) for trial in planned.trials}
    seconds = estimated_seconds(job.spec, planned)
    if json:
        trials = [_trial_document(trial, doubts[trial.index]) for trial in planned.trials]
        document = {
            "trials": trials,
            "tests": planned.tests,
            "configurations": planned.configurations,
            "estimated_seconds": seconds,
            "left_out": planned.notes,
        }
        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    _show_plan(planned, doubts, seconds)


def _trial_document(trial: TrialSpec, doubt: str | None) -> dict[str, Any]:
    return {
        "index": trial.index,
        "instance_type": trial.title,
        "environment": trial.environment,
        "usd_per_hour": trial.instance_type.usd_per_hour,
        "price_basis": str(trial.instance_type.price_basis),
        "cannot_run": doubt,
    }


def _show_plan(planned: Plan, doubts: dict[int, str | None], seconds: float) -> None:
    table = plain_table("#", "configuration", "vCPU", "memory", "$/hour", "", numbers=("#", "vCPU", "memory", "$/hour"))
    for trial in planned.trials:
        kind = trial.instance_type
        table.add_row(
            str(trial.index),
            configuration_cell(trial.title, trial.environment, words.price_words(kind.price_basis)),
            f"{kind.vcpus:g}" if kind.vcpus is not None else words.UNKNOWN,
            words.mebibytes(kind.memory_mib),
            words.dollars(kind.usd_per_hour),
            Text(doubts[trial.index] or "", style="red"),
        )
    console = Console()
    console.print(table)
    console.print(f"\n{_how_many(planned)}, about {words.seconds(seconds)}; nothing was run.")
    if planned.notes:
        console.print("\nLeft out", style="bold")
        for note in planned.notes:
            console.print(Padding(Text(note), (0, 0, 0, 2)))


def _how_many(planned: Plan) -> str:
    if planned.tests == len(planned.trials):
        return words.plural(planned.tests, "trial")
    return f"{planned.tests} of {planned.configurations} configurations, chosen as the trials go: these to begin with"
