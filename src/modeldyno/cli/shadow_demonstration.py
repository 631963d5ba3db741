"""What `dyno demo --shadow` does: two shadow tests on live traffic, one that ends in promotion and one in harm.

The service is `dyno up`, the client is plain boto3: nothing is special here.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from modeldyno.app.compose import Dyno, open_dyno
from modeldyno.cli.demonstration import FRAMEWORK_VERSION, REGION, boto3_module, service, train
from modeldyno.cli.options import terminable
from modeldyno.cli.packing import pack_model
from modeldyno.cli.request import role_arn
from modeldyno.cli.shadow import follow
from modeldyno.domain.errors import ServiceError
from modeldyno.settings import read_settings
from modeldyno.ui.shadow import render_shadow, summary

ENDPOINT = "digits"
MODELS = ("shallow", "deep", "nonsense")
TYPE = "local.one"
# Set beforehand: a deeper forest, on a machine that does much else meanwhile, may take three times as long, and may say
# otherwise on 15 digits of a hundred.
TAGS = {"dyno:latency_percent": "200", "dyno:agreement_percent": "85"}
_PREFIX = "s3://demo/shadow"
_REQUESTS_PER_SECOND = 60.0
_LONGEST_SECONDS = 240.0
_STATUS_SECONDS = 60.0


def run(out: Path) -> int:
    """The whole demonstration under the directory `out`; the exit status: 0 when both verdicts are as they must be."""
    boto3_module()
    out.mkdir(parents=True, exist_ok=True)
    with as_file(files("modeldyno") / "data" / "demo") as given, terminable():
        config = Path(shutil.copy(given / "dyno.toml", out / "dyno.toml"))
        settings = msgspec.structs.replace(read_settings(config), data_dir=str(out / "data"))
        train(settings, given / "train_shadow.py", out)
        for model in MODELS:
            (out / model / "code").mkdir(exist_ok=True)
            shutil.copy(given / "inference.py", out / model / "code" / "inference.py")
        with service(config, out) as url:
            dyno = open_dyno(settings, migrate=False)
            try:
                return _Show(dyno, url, out).run()
            except (BotoCoreError, ClientError) as error:
                raise ServiceError(f"A call was refused: {error}") from error
            finally:
                dyno.close()


class _Show:
    """The demonstration on a running service."""

    def __init__(self, dyno: Dyno, url: str, out: Path) -> None:
        self._dyno = dyno
        self._out = out
        access = {
            "endpoint_url": url,
            "region_name": REGION,
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
        }
        self._sagemaker = boto3_module().client("sagemaker", **access)
        self._invoke = boto3_module().client("sagemaker-runtime", **access)
        self._suffix = dyno.entropy.token(6)

    def run(self) -> int:
        """Both tests, one after the other; the endpoint is deleted at the end."""
        self._deploy()
        try:
            with self._traffic():
                first, second = f"deep-beside-shallow-{self._suffix}", f"nonsense-{self._suffix}"
                good = self._test("shallow", "deep", first)
                self._end(first, "shallow", "deep", promote=good == "fit")
                production = "deep" if good == "fit" else "shallow"
                bad = self._test(production, "nonsense", second)
                self._end(second, production, "nonsense", promote=False)
            _say(f"The first shadow was {good}, the second {bad}.")
        finally:
            self._delete()
        return 0 if (good, bad) == ("fit", "harmful") else 1

    def _deploy(self) -> None:
        role = role_arn(self._dyno.settings.account)
        for model in MODELS:
            url = f"{_PREFIX}/{model}.tar.gz"
            self._dyno.objects.put(url, pack_model(self._out / model, self._out / f"{model}.tar.gz"))
            container = {"Image": f"sagemaker-scikit-learn:{FRAMEWORK_VERSION}", "ModelDataUrl": url}
            name = f"{model}-{self._suffix}"
            self._sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        _say(f"An endpoint with the shallow forest ({ENDPOINT}-{self._suffix}) ...")
        name = f"{ENDPOINT}-{self._suffix}"
        variant = {
            "VariantName": "shallow",
            "ModelName": f"shallow-{self._suffix}",
            "InstanceType": TYPE,
            "InitialInstanceCount": 1,
        }
        self._sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        self._sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self._sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig={"Delay": 1})

    @contextmanager
    def _traffic(self) -> Iterator[None]:
        """Somebody asks for digits all the time."""
        _say(f"Live traffic: {_REQUESTS_PER_SECOND:g} digits a second ...")
        stop = threading.Event()
        caller = threading.Thread(target=self._call, args=(stop,), name="traffic")
        caller.start()
        try:
            yield
        finally:
            stop.set()
            caller.join()

    def _call(self, stop: threading.Event) -> None:
        digits = [path.read_bytes() for path in sorted((self._out / "payload").glob("*.csv"))]
        turn, due = 0, time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            turn, due = turn + 1, max(due + 1.0 / _REQUESTS_PER_SECOND, time.monotonic() - 1.0)
            self._invoke.invoke_endpoint(
                EndpointName=f"{ENDPOINT}-{self._suffix}", Body=digits[turn % len(digits)], ContentType="text/csv"
            )["Body"].read()

    def _test(self, production: str, shadow: str, name: str) -> str:
        """One experiment, watched until it has decided; the verdict."""
        _say(f"Shadow test {name}: {shadow} beside {production}, every request mirrored ...")
        self._sagemaker.create_inference_experiment(
            Name=name,
            Type="ShadowMode",
            RoleArn=role_arn(self._dyno.settings.account),
            EndpointName=f"{ENDPOINT}-{self._suffix}",
            ModelVariants=[self._variant(production), self._variant(shadow)],
            ShadowModeConfig={
                "SourceModelVariantName": production,
                "ShadowModelVariants": [{"ShadowModelVariantName": shadow, "SamplingPercentage": 100}],
            },
            DataStorageConfig={"Destination": f"{_PREFIX}/captured/"},
            Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()],
        )
        self._wait(name, "Running")
        return self._watch(name)

    def _variant(self, model: str) -> dict[str, Any]:
        where = {"InstanceType": TYPE, "InstanceCount": 1}
        return {
            "ModelName": f"{model}-{self._suffix}",
            "VariantName": model,
            "InfrastructureConfig": {"InfrastructureType": "RealTimeInference", "RealTimeInferenceConfig": where},
        }

    def _watch(self, name: str) -> str:
        until = time.monotonic() + _LONGEST_SECONDS

        def enough(document: dict[str, Any]) -> bool:
            return document["verdict"] in ("fit", "harmful") or time.monotonic() > until

        return str(follow(self._dyno, REGION, name, Console(), enough)["verdict"])

    def _end(self, name: str, production: str, shadow: str, *, promote: bool) -> None:
        """Stop it with the verdict, and write its page."""
        actions = {production: "Remove", shadow: "Promote"} if promote else {production: "Retain", shadow: "Remove"}
        document = self._dyno.shadow_report(REGION, name)
        self._sagemaker.stop_inference_experiment(
            Name=name, ModelVariantActions=actions, DesiredState="Completed", Reason=summary(document)[:1024]
        )
        self._wait(name, "Completed")
        page = self._out / f"{shadow}.html"
        page.write_text(render_shadow(self._dyno.shadow_report(REGION, name)), encoding="utf-8")
        typer.echo(f"\n{name}: {shadow} is {'promoted' if promote else 'removed'}. Report: {page}\n")

    def _wait(self, name: str, status: str) -> None:
        until = time.monotonic() + _STATUS_SECONDS
        while True:
            described = self._sagemaker.describe_inference_experiment(Name=name)
            if described["Status"] == status:
                return
            if described["Status"] in ("Cancelled", "Completed") or time.monotonic() > until:
                raise ServiceError(
                    f"{name} is {described['Status']}: {described.get('StatusReason', 'no reason told')}"
                )
            time.sleep(0.2)

    def _delete(self) -> None:
        name = f"{ENDPOINT}-{self._suffix}"
        self._sagemaker.delete_endpoint(EndpointName=name)
        self._sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})


def _say(text: str) -> None:
    typer.secho(text, bold=True)
