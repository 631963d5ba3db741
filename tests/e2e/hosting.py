"""Endpoints and experiments of a real service, as a user makes them with boto3."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.service import ROLE, TYPES, Service, until

HOSTING = TYPES + "\n[shadow]\ntimeout_seconds = 3\n"


class Hosting(Service):
    """A service whose models are `answering_server`s."""

    def __init__(self, root: Path, config: str = HOSTING) -> None:
        super().__init__(root, config)

    def answers(self, image: str, *options: str) -> Hosting:
        """Map an image name to an answering server."""
        self.runtime(image, "-m", "modeldyno.testing.answering_server", *options)
        return self

    @property
    def invoker(self) -> Any:
        """Unmodified boto3, which does not try again."""
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=70),
        )

    def model(self, name: str, image: str | None = None) -> str:
        self.client.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image or name})
        return name

    def config_of(self, name: str, *models: str, shadow: str | None = None, **more: Any) -> str:
        """A configuration with a variant for each model, of the same name."""
        variants = [variant(model, **more.pop(model, {})) for model in models]
        shadows = {"ShadowProductionVariants": [variant(shadow)]} if shadow else {}
        self.client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **shadows, **more)
        return name

    def endpoint(self, name: str, *models: str, **more: Any) -> Any:
        """An endpoint in service, with a configuration of its own."""
        self.config_of(f"{name}-config", *models, **more)
        self.client.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")
        return self.settled(name)

    def settled(self, name: str, seconds: float = 60.0) -> Any:
        """Describe, once nothing is in progress."""

        def look() -> Any:
            described = self.client.describe_endpoint(EndpointName=name)
            return described if described["EndpointStatus"] in ("InService", "Failed") else None

        return until(look, seconds)

    def invoke(self, name: str, body: bytes = b"1", **more: Any) -> Any:
        answer = self.invoker.invoke_endpoint(EndpointName=name, Body=body, ContentType="text/csv", **more)
        answer["Text"] = answer["Body"].read().decode()
        return answer

    def clear(self) -> None:
        """Have no experiment, no endpoint and no configuration any more, as a test finds it."""
        client = self.client
        for experiment in client.list_inference_experiments(MaxResults=100)["InferenceExperiments"]:
            name = experiment["Name"]
            if client.describe_inference_experiment(Name=name)["Status"] == "Running":
                variants = client.describe_inference_experiment(Name=name)["ShadowModeConfig"]
                shadow = variants["ShadowModelVariants"][0]["ShadowModelVariantName"]
                actions = {variants["SourceModelVariantName"]: "Remove", shadow: "Remove"}
                client.stop_inference_experiment(Name=name, ModelVariantActions=actions)
            until(lambda name=name: client.describe_inference_experiment(Name=name)["Status"] in _AT_REST)
            client.delete_inference_experiment(Name=name)
        for endpoint in client.list_endpoints(MaxResults=100)["Endpoints"]:
            name = endpoint["EndpointName"]
            until(lambda name=name: _status(client, name) in ("InService", "Failed", "Deleting", None))
            if _status(client, name) in ("InService", "Failed"):
                client.delete_endpoint(EndpointName=name)
        until(lambda: not client.list_endpoints()["Endpoints"] and not self.servers(), 30)
        for config in client.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]:
            client.delete_endpoint_config(EndpointConfigName=config["EndpointConfigName"])

    def gone(self, name: str) -> None:
        """Delete an endpoint and wait until it is gone."""
        self.client.delete_endpoint(EndpointName=name)
        waiter = self.client.get_waiter("endpoint_deleted")
        waiter.wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 40})

    def found(self, name: str, variant: str, index: int = 0) -> int | None:
        """The process id of a hosted server, while there is one."""
        ending = f"-{variant}-{index}"
        return next((pid for pid, tag in self.tags().items() if tag.split("/")[-2].endswith(ending)), None)

    def pid(self, name: str, variant: str, index: int = 0) -> int:
        """The process id of a hosted server that is there."""
        found = self.found(name, variant, index)
        assert found is not None, f"no server of {name}/{variant}/{index} among {self.tags()}"
        return found

    # --- experiments ---

    def experiment(
        self, name: str, endpoint: str, production: str, shadow: str, percent: int = 100, **more: Any
    ) -> Any:
        self.client.create_inference_experiment(
            Name=name,
            Type="ShadowMode",
            RoleArn=ROLE,
            EndpointName=endpoint,
            ModelVariants=[model_variant(production), model_variant(shadow)],
            ShadowModeConfig=shadow_config(production, shadow, percent),
            **more,
        )
        return self.stands(name, "Running")

    def stands(self, name: str, *statuses: str, seconds: float = 60.0) -> Any:
        """Describe, once the experiment is in one of these statuses."""

        def look() -> Any:
            described = self.client.describe_inference_experiment(Name=name)
            assert described["Status"] in statuses or described["Status"] not in ("Cancelled", "Completed"), described
            return described if described["Status"] in statuses else None

        return until(look, seconds)


_AT_REST = ("Created", "Completed", "Cancelled")


def _status(client: Any, endpoint: str) -> str | None:
    try:
        return str(client.describe_endpoint(EndpointName=endpoint)["EndpointStatus"])
    except ClientError:
        return None


def variant(model: str, **more: Any) -> dict[str, Any]:
    return {
        "VariantName": model,
        "ModelName": model,
        "InstanceType": "local.half",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
        **more,
    }


def model_variant(model: str, instance_type: str = "local.half", count: int = 1) -> dict[str, Any]:
    infrastructure = {
        "InfrastructureType": "RealTimeInference",
        "RealTimeInferenceConfig": {"InstanceType": instance_type, "InstanceCount": count},
    }
    return {"ModelName": model, "VariantName": model, "InfrastructureConfig": infrastructure}


def shadow_config(production: str, shadow: str, percent: int) -> dict[str, Any]:
    return {
        "SourceModelVariantName": production,
        "ShadowModelVariants": [{"ShadowModelVariantName": shadow, "SamplingPercentage": percent}],
    }


class Traffic:
    """Requests to an endpoint, one after the other in a few threads, while the block runs; how each ended."""

    def __init__(self, service: Hosting, endpoint: str, threads: int = 2, pause_seconds: float = 0.005) -> None:
        self._service = service
        self._endpoint = endpoint
        self._pause = pause_seconds
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        self.answers: Counter[str] = Counter()
        self.errors: list[str] = []
        self.latencies: list[float] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        client = self._service.invoker
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                answer = client.invoke_endpoint(EndpointName=self._endpoint, Body=b"1", ContentType="text/csv")
                self.answers[answer["Body"].read().decode()] += 1
                self.latencies.append(time.monotonic() - began)
            except (ClientError, BotoCoreError) as error:
                self.errors.append(str(error))
            time.sleep(self._pause)
