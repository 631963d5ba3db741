"""Purpose-made servers, payloads and a way to load them until something is seen."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from modeldyno.load.process import ProcessGenerator
from modeldyno.ports import LoadTarget
from tests.servers import serving


class Requests:
    """Reads whole requests off a connection."""

    def __init__(self, reader):
        self.reader = reader

    async def next(self):
        """(head, body) of the next request; None when the client is gone."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            return head, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


@pytest.fixture
def serve():
    """`async with serve(handle) as url`: a server here; `await handle(requests, writer)` for each connection."""

    @asynccontextmanager
    async def start(handle):
        async with serving(lambda reader, writer: handle(Requests(reader), writer)) as port:
            yield f"http://127.0.0.1:{port}"

    return start


@pytest.fixture
def payloads(tmp_path):
    directory = tmp_path / "payloads"
    directory.mkdir()
    (directory / "sample.json").write_bytes(b"[1, 2, 3]")
    return directory


@pytest.fixture
def target(payloads):
    def of(url, **changes):
        given = {"content_type": "application/json", "accept": None, "seed": 1, **changes}
        return LoadTarget(**{"url": url, "payload_dir": payloads, **given})

    return of


@pytest.fixture
def load():
    """Load a target until `enough(succeeded, failed by kind)`; gives both."""

    async def drive(target, enough, users=1):
        succeeded, failed = 0, Counter()
        async with ProcessGenerator(window_seconds=0.1).drive(target) as session:
            await session.set_users(users)
            async for window in session.windows():
                succeeded += window.succeeded
                failed.update(window.failed)
                if enough(succeeded, failed):
                    break
        return succeeded, failed

    return drive
