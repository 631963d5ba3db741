"""What stands behind requests that are signed for S3: the directory of objects, or word of where objects are."""

from __future__ import annotations

from modeldyno.app.compose import Dyno
from modeldyno.buckets.door import Closed, Door
from modeldyno.objects.folders import Folders
from modeldyno.wire.gate import Gate


def bucket_plane(dyno: Dyno, gate: Gate) -> Door | Closed:
    """Dyno's own S3, unless real S3 is configured. Blocks: what a crash left of uploads is removed."""
    chosen = dyno.settings.objects
    if chosen.s3:
        where = chosen.endpoint_url or "AWS"
        return Closed(
            f"Objects are kept in the S3 that [objects] in dyno.toml names ({where}), not in Dyno: give clients of S3 "
            "an endpoint of their own (AWS_ENDPOINT_URL_S3)."
        )
    folders = Folders(dyno.places.objects)
    folders.tidy()
    unenforced = dyno.settings.security.accept_unenforced
    return Door(folders, gate, dyno.settings.account, unenforced=unenforced)
