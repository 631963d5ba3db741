"""What users send: the files of the payload archive, in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from modeldyno.domain.errors import InputFault

# Source: botocore sagemaker-runtime 2017-05-13, shape BodyBlob, max: an endpoint would refuse more.
LARGEST_BODY_BYTES = 6_291_456
# Chosen: the generator holds all bodies in memory on the host it measures; more would disturb what it measures.
LARGEST_TOTAL_BYTES = 1024**3


def read_payloads(directory: Path) -> tuple[bytes, ...]:
    """The bodies, in the order of their files' relative paths.

    All regular files under `directory` count, at any depth, but for hidden ones (``.name``, which includes macOS's
    ``._name``) and what is under hidden directories or ``__MACOSX``.

    Raises:
        InputFault: no file, a file over 6,291,456 bytes, more than 1 GiB together, or a file that cannot be read;
            names the file.
    """
    bodies: list[bytes] = []
    total = 0
    for path in sorted(_files(directory)):
        name = path.relative_to(directory).as_posix().encode(errors="replace").decode()
        body = _read(path, name)
        total += len(body)
        if total > LARGEST_TOTAL_BYTES:
            raise InputFault(
                f"The sample payloads are larger than {LARGEST_TOTAL_BYTES} bytes together (reached at '{name}')."
            )
        bodies.append(body)
    if not bodies:
        raise InputFault("The archive or directory of payloads holds no files (hidden ones do not count).")
    return tuple(bodies)


def _files(directory: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(directory):
        directories[:] = [name for name in directories if not name.startswith(".") and name != "__MACOSX"]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _read(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST_BODY_BYTES + 1)
    except OSError as error:
        raise InputFault(f"The sample payload '{name}' cannot be read: {error.strerror}.") from error
    if len(body) > LARGEST_BODY_BYTES:
        raise InputFault(f"The sample payload '{name}' is larger than {LARGEST_BODY_BYTES} bytes.")
    return body
