"""Every setting, its default and its unit. Read by `cli` and `app` only; they pass values on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from modeldyno.domain.errors import ServiceError
from modeldyno.domain.serverless import IDLE_SECONDS, MB_PER_VCPU


class InstanceSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[instances."local.2cpu"]``: an own instance type. Fractions of a vCPU are allowed."""

    vcpus: float
    memory_gib: float | None = None
    usd_per_hour: float | None = None
    architecture: str | None = None
    gpus: int = 0
    example: bool = False


class RuntimeSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[runtimes."acme/server:1"]``: an image name mapped to a command on this host."""

    command: list[str]
    environment: dict[str, str] = {}
    worker_variable: str | None = None


class ObjectsSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[objects]``: where ``s3://`` points. Empty: DATA_DIR/s3. `s3 = true` uses real S3 or a compatible store."""

    s3: bool = False
    endpoint_url: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    allow_http: bool = False
    recommend_bucket: str = "dyno-recommend"  # where `dyno recommend` stores its inputs; on real S3 it must exist


class EnvironmentsSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[environments]``: how script mode's environments are built."""

    build_from_source: bool = False  # as root, too: runs code of requirements.txt's packages with all rights


class MeasurementSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[measurement]``: how trials are run."""

    startup_seconds: float = 240.0  # until /ping must answer; the container contract's 4 minutes
    request_timeout_seconds: float = 60.0  # the container contract's answer limit
    max_trial_seconds: float = 120.0  # load of one Default trial at most
    max_users: int = 512
    open_loop_seconds: float = 45.0  # load of arrivals that do not wait, where there is a threshold; 0: none
    run_off_seconds: float = 20.0  # load of the leaders of a Default job in turns, once all are measured; 0: none
    lease_seconds: float = 15.0


class ServerlessSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[serverless]``: what a server of a serverless endpoint is, and how long it is kept."""

    mb_per_vcpu: Annotated[float, msgspec.Meta(gt=0)] = MB_PER_VCPU  # memory with which a server gets a whole vCPU
    idle_seconds: Annotated[float, msgspec.Meta(gt=0)] = IDLE_SECONDS  # a server that nobody needs is ended after it
    usd_per_second: dict[int, Annotated[float, msgspec.Meta(ge=0)]] = {}  # of processing, by MemorySizeInMB


class ShadowSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[shadow]``: the mirror, and what a shadow must keep to be fit. Margins are overridden by tags on the experiment
    (``dyno:latency_percent`` and so on)."""

    queue_requests: int = 1000  # requests that may wait for shadows, those being asked included
    queue_mib: float = 64.0  # and their bytes, with production's answers
    max_body_bytes: int = 6_291_456  # larger ones are not mirrored, and counted
    parallel: int = 64  # requests that shadows are asked at once
    timeout_seconds: float = 60.0  # for a shadow's whole answer
    noise_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = (
        0.0  # of what is mirrored, asked of production a second time: tells its own noise
    )
    latency_margin_percent: Annotated[float, msgspec.Meta(ge=0)] = 10.0  # how much slower its P95 may be
    error_margin_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0  # how many more requests may fail, of all
    agreement_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = (
        95.0  # how many answers must agree, net of the model's own noise
    )
    numeric_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 1e-6  # relative, of numbers in answers
    confidence_percent: Annotated[float, msgspec.Meta(ge=50, le=99.9999)] = (
        95.0  # of the verdict, however often it is looked at
    )
    stop_when_harmful: bool = False  # stop the experiment by itself then


class CaptureSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[capture]``: requests and answers on their way to the object store."""

    spool_mib: float = 1024.0  # on the local disk, at most; what comes when it is full is refused, and counted
    spare_mib: float = 512.0  # left free on the disk
    retention_days: float = 30.0  # what could not be delivered for so long is given up, and counted


class SecuritySetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[security]``: what is asked of AWS for protection."""

    accept_unenforced: bool = False  # KMS keys, VPCs and network isolation pass, without effect


class TlsSetting(msgspec.Struct, forbid_unknown_fields=True):
    """``[tls]``: how addresses that other machines reach are served."""

    cert: str | None = None  # a PEM file: the certificate, and those between it and its authority
    key: str | None = None  # a PEM file: its private key
    behind_proxy: bool = False  # a proxy in front ends TLS, and passes the Host header on


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The whole of dyno.toml. Every member has a default: nothing needs to be configured for the first result."""

    account: str = "000000000000"
    host: str = "127.0.0.1"
    port: int = 8600
    data_dir: str | None = None
    database: str | None = None
    documented_limits: bool = False
    retention_days: float = 30.0
    tls: TlsSetting = msgspec.field(default_factory=TlsSetting)
    security: SecuritySetting = msgspec.field(default_factory=SecuritySetting)
    objects: ObjectsSetting = msgspec.field(default_factory=ObjectsSetting)
    environments: EnvironmentsSetting = msgspec.field(default_factory=EnvironmentsSetting)
    measurement: MeasurementSetting = msgspec.field(default_factory=MeasurementSetting)
    shadow: ShadowSetting = msgspec.field(default_factory=ShadowSetting)
    serverless: ServerlessSetting = msgspec.field(default_factory=ServerlessSetting)
    capture: CaptureSetting = msgspec.field(default_factory=CaptureSetting)
    instances: dict[str, InstanceSetting] = {}
    prices: dict[str, float] = {}
    runtimes: dict[str, RuntimeSetting] = {}


def read_settings(path: Path | None) -> Settings:
    """The settings of a dyno.toml, or the defaults when there is no path.

    Raises:
        ServiceError: the file is not there, not readable or breaks a rule; names the file and the member.
    """
    if path is None:
        return Settings()
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise ServiceError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServiceError(f"The configuration {path} is not valid: {error}.") from error
