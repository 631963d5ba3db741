"""Every setting, its default and its unit. Read by `cli` and `app` only; they pass values on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from modeldyno.domain.errors import ServiceError


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
    lease_seconds: float = 15.0


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The whole of dyno.toml. Every member has a default: nothing needs to be configured for the first result."""

    account: str = "000000000000"
    host: str = "127.0.0.1"
    port: int = 8600
    data_dir: str | None = None
    database: str | None = None
    documented_limits: bool = False
    retention_days: float = 30.0
    objects: ObjectsSetting = msgspec.field(default_factory=ObjectsSetting)
    environments: EnvironmentsSetting = msgspec.field(default_factory=EnvironmentsSetting)
    measurement: MeasurementSetting = msgspec.field(default_factory=MeasurementSetting)
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
