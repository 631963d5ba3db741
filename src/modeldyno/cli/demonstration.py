"""What `dyno demo` does, step by step. The service is `dyno up`, the client is plain boto3: nothing is special here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from modeldyno.app.compose import Dyno, build_environment, open_dyno
from modeldyno.cli.jobs import stop_and_wait
from modeldyno.cli.options import terminable
from modeldyno.cli.packing import pack_model, pack_payload
from modeldyno.cli.progress import follow
from modeldyno.cli.request import role_arn
from modeldyno.cli.results import show
from modeldyno.domain.errors import ServiceError
from modeldyno.domain.images import Framework
from modeldyno.domain.job import JobStatus
from modeldyno.settings import Settings, read_settings

FRAMEWORK_VERSION = "1.7.2"
TYPES = ("local.half", "local.one", "local.one-and-half")
REGION = "us-east-1"
_PREFIX = "s3://demo/digits"
_STOP_SECONDS = 20.0


def run(out: Path) -> int:
    """The whole demonstration under the directory `out`; the exit status: 0 when the job is COMPLETED."""
    boto3_module()
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("modeldyno") / "data" / "demo") as given, terminable():
        config = Path(shutil.copy(given / "dyno.toml", out / "dyno.toml"))
        settings = msgspec.structs.replace(read_settings(config), data_dir=str(out / "data"))
        train(settings, given / "train.py", out)
        _pack(given, out)
        with service(config, out) as url:
            dyno = open_dyno(settings, migrate=False)
            try:
                return _measure(dyno, url, out)
            finally:
                dyno.close()


def boto3_module() -> Any:
    """boto3, which the demonstrations call as a user does."""
    try:
        import boto3
    except ImportError as error:
        raise ServiceError("The demonstration submits its job with boto3: pip install boto3.") from error
    return boto3


def train(settings: Settings, script: Path, out: Path) -> None:
    """Run a training script in the environment that its models will be served in; it writes below `out`."""
    _say(f"Environment for scikit-learn {FRAMEWORK_VERSION} (built once, then kept) ...")
    python = build_environment(settings, Framework.SCIKIT_LEARN, FRAMEWORK_VERSION)
    _say("Training on handwritten digits ...")
    command = [str(python), "-I", str(script), str(out)]
    trained = subprocess.run(command, capture_output=True, text=True, check=False)
    if trained.returncode != 0:
        raise ServiceError(f"Training failed: {trained.stderr.strip()}")
    for line in trained.stdout.strip().splitlines():
        typer.echo(f"  {line}")


def _pack(given: Path, out: Path) -> None:
    (out / "model" / "code").mkdir(exist_ok=True)
    shutil.copy(given / "inference.py", out / "model" / "code" / "inference.py")
    model = pack_model(out / "model", out / "model.tar.gz")
    payload = pack_payload(out / "payload", out / "payload.tar.gz")
    typer.echo(f"  packed {model} and {payload}")


@contextmanager
def service(config: Path, out: Path) -> Iterator[str]:
    """`dyno up` on a free port while the block runs; its URL. It is ended cleanly, however the block ends."""
    log = out / "dyno.log"
    _say("Starting Dyno ...")
    command = [sys.executable, "-P", "-m", "modeldyno", "up", "--port", "0"]
    command += ["--config", str(config), "--data-dir", str(out / "data")]
    with log.open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if words[:1] != ["ready"]:
            raise ServiceError(f"Dyno did not start: {log.read_text().strip() or 'it said nothing'}")
        typer.echo(f"  serving {words[1]}, log {log}")
        yield words[1]
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _measure(dyno: Dyno, url: str, out: Path) -> int:
    from modeldyno.ui.report import render_report

    dyno.objects.put(f"{_PREFIX}/model.tar.gz", out / "model.tar.gz")
    dyno.objects.put(f"{_PREFIX}/payload.tar.gz", out / "payload.tar.gz")
    name = f"digits-{dyno.entropy.token(6)}"
    _say("Submitting the job with boto3 ...")
    try:
        _submit(url, name, role_arn(dyno.settings.account))
    except (BotoCoreError, ClientError) as error:
        raise ServiceError(f"The job was refused: {error}") from error
    _say(f"Measuring {', '.join(TYPES)} (job {name}) ...")
    try:
        job = follow(dyno, REGION, name, Console())
    except KeyboardInterrupt:
        stop_and_wait(dyno, REGION, name)  # else it would go on when the service next starts here
        raise
    result = dyno.result(REGION, name)
    typer.echo("")
    show(result, None)
    report = out / "report.html"
    report.write_text(render_report(result), encoding="utf-8")
    typer.echo(f"\nReport: {report}")
    if job.failure_reason:
        typer.echo(job.failure_reason, err=True)
    return 0 if job.status is JobStatus.COMPLETED else 1


def _submit(url: str, name: str, role: str) -> None:
    """The boto3 calls, as a user writes them."""
    sagemaker = boto3_module().client(
        "sagemaker", endpoint_url=url, region_name=REGION, aws_access_key_id="any", aws_secret_access_key="any"
    )
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role,
        PrimaryContainer={
            "Image": f"sagemaker-scikit-learn:{FRAMEWORK_VERSION}",
            "ModelDataUrl": f"{_PREFIX}/model.tar.gz",
        },
    )
    sagemaker.create_inference_recommendations_job(
        JobName=name,
        JobType="Default",
        RoleArn=role,
        InputConfig={
            "ModelName": name,
            "ContainerConfig": {
                "Domain": "COMPUTER_VISION",
                "Task": "IMAGE_CLASSIFICATION",
                "Framework": "SAGEMAKER-SCIKIT-LEARN",
                "FrameworkVersion": FRAMEWORK_VERSION,
                "PayloadConfig": {
                    "SamplePayloadUrl": f"{_PREFIX}/payload.tar.gz",
                    "SupportedContentTypes": ["text/csv"],
                },
                "SupportedInstanceTypes": list(TYPES),
            },
        },
    )


def _say(text: str) -> None:
    typer.secho(text, bold=True)
