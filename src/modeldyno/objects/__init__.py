"""Where bytes are kept: s3 URLs, in a directory or in S3."""

from __future__ import annotations

from modeldyno.objects.store import Objects, directory_objects, s3_objects

__all__ = ["Objects", "directory_objects", "s3_objects"]
