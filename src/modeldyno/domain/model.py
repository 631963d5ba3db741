"""What is deployed: the container of a model or of a package's version, resolved when the job was created."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A deployable model.

    `image` selects the runtime (never pulled: docs/adr). `model_data_url` is an s3:// tar.gz, or None for a server that
    brings its own. `framework` has the wire's spelling (``SAGEMAKER-SCIKIT-LEARN``), None where not told.
    """

    image: str | None
    model_data_url: str | None
    environment: dict[str, str] = field(default_factory=dict)
    framework: str | None = None
    framework_version: str | None = None
    model_name: str | None = None
    model_package_arn: str | None = None

    @property
    def key(self) -> str:
        """The same for what runs alike: image, data and environment, whatever it is called; without an image its
        framework and version."""
        named = None if self.image else [self.framework, self.framework_version]
        told = [self.image, self.model_data_url, self.environment, named]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PayloadSource:
    """Sample requests: an s3:// tar.gz whose files are drawn at random (seeded) as request bodies."""

    url: str
    content_type: str
    accept: str | None = None
