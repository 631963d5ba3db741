"""`dyno jobs | watch | logs | stop | delete`: jobs, whoever submitted them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from modeldyno.cli import options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modeldyno.app.compose import Dyno
    from modeldyno.domain.job import Job

_STOP_SECONDS = 15.0


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """List jobs, newest first."""
    from rich.text import Text

    from modeldyno.cli.results import print_wide
    from modeldyno.domain.resource import Query
    from modeldyno.ui.tables import plain_table, status_text

    with options.opened(config, data_dir, database) as dyno:
        page = dyno.store.find_jobs(Query(region=region, limit=limit))
    table = plain_table("job", "type", "status", "created", "model")
    for column in table.columns[:-1]:  # a name that is cut by a line end cannot be copied
        column.no_wrap = True
    for job in page.items:
        package = job.spec.model.model_package_arn or ""
        model = job.spec.model.model_name or package.rpartition(":model-package/")[2]
        created = datetime.fromtimestamp(job.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        table.add_row(Text(job.name), job.spec.job_type, status_text(job.status), created, Text(model))
    if page.items:
        print_wide(table)
    else:
        typer.echo(f"No jobs in {region}.", err=True)


def watch(
    job: options.JobName,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Follow a job until it has ended. Ctrl-C leaves the job alone."""
    from rich.console import Console

    from modeldyno.cli.progress import follow
    from modeldyno.domain.job import JobStatus

    with options.opened(config, data_dir, database) as dyno:
        ended = follow(dyno, region, job, Console())
    if ended.failure_reason:
        typer.echo(ended.failure_reason, err=True)
    if ended.status is not JobStatus.FAILED:
        typer.echo(f"`dyno results {job}` shows what was measured.", err=True)
    if ended.status is JobStatus.FAILED:
        raise typer.Exit(1)


def logs(
    job: options.JobName,
    trial: Annotated[int | None, typer.Argument(metavar="[TRIAL]", min=0, help="A trial's number, from 0.")] = None,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Print a job's story and what its model servers wrote, whole; of one trial only when it is named."""
    with options.opened(config, data_dir, database) as dyno:
        found = dyno.store.job(region, job)
        for text in _log_texts(dyno, found, trial):
            typer.echo(text)


def _log_texts(dyno: Dyno, job: Job, trial: int | None) -> Iterator[str]:
    from modeldyno.domain.errors import ResourceNotFound

    indexes = [one.spec.index for one in dyno.store.trials(job.id)]
    if trial is not None and trial not in indexes:
        raise ResourceNotFound(f"The job {job.name} has no trial {trial}; it has {len(indexes)}, counted from 0.")
    for line in dyno.store.log_lines(job.id, trial):
        at = datetime.fromtimestamp(line.at, UTC).strftime("%H:%M:%S")
        about = f" trial {line.trial_index}:" if line.trial_index is not None else ""
        yield f"{at}{about} {line.message}"
    for index in indexes if trial is None else [trial]:
        path = dyno.places.trial_log(job.region, job.name, index)
        if path.is_file():
            yield f"\n--- what the model server of trial {index} wrote ---"
            yield path.read_text(encoding="utf-8", errors="replace").rstrip("\n") or "(nothing)"


def stop(
    job: options.JobName,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Stop a job; what was measured so far stays."""
    from modeldyno.app.supervisor import local_worker

    with options.opened(config, data_dir, database) as dyno:
        dyno.store.job(region, job)
        dyno.call("StopInferenceRecommendationsJob", {"JobName": job}, region)
        with local_worker(dyno):
            status = wait_until_ended(dyno, region, job)
    typer.echo(f"{job}: {status}")


def stop_and_wait(dyno: Dyno, region: str, name: str) -> None:
    """Stop a job that somebody carries out, and wait for its end; one that has ended meanwhile stays as it is."""
    from contextlib import suppress

    from modeldyno.domain.errors import InvalidRequest

    with suppress(InvalidRequest):
        dyno.call("StopInferenceRecommendationsJob", {"JobName": name}, region)
    wait_until_ended(dyno, region, name)


def wait_until_ended(dyno: Dyno, region: str, name: str, seconds: float = _STOP_SECONDS) -> str:
    """Wait until a stopping job has ended, for so long at most; its status then."""
    import time

    until = dyno.clock.monotonic() + seconds
    while not (job := dyno.store.job(region, name)).status.ended and dyno.clock.monotonic() < until:
        time.sleep(0.1)
    return str(job.status)


def delete(
    job: options.JobName,
    region: options.Region = options.DEFAULT_REGION,
    data_dir: options.DataDir = None,
    database: options.Database = None,
    config: options.Config = None,
) -> None:
    """Delete an ended job: its records, logs, results, and what `dyno recommend` stored for it."""
    with options.opened(config, data_dir, database) as dyno:
        found = dyno.store.job(region, job)
        dyno.store.remove_job(region, job)
        dyno.places.forget(region, job)
        if (found.spec.model.model_data_url or "").startswith(f"s3://{dyno.settings.objects.recommend_bucket}/{job}/"):
            forget_inputs(dyno, region, job)
    typer.echo(f"{job}: deleted")


def forget_inputs(dyno: Dyno, region: str, name: str) -> None:
    """Remove the model and the objects that `dyno recommend` stored for a job; what is gone already is no error."""
    import shutil
    from contextlib import suppress

    from modeldyno.domain.errors import InvalidRequest

    with suppress(InvalidRequest):
        dyno.call("DeleteModel", {"ModelName": name}, region)
    if not dyno.settings.objects.s3:
        shutil.rmtree(dyno.places.objects / dyno.settings.objects.recommend_bucket / name, ignore_errors=True)
