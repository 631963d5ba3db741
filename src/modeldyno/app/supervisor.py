"""`dyno up`: binds the port, keeps the front and the worker alive, and ends them.

It does no work itself, so it stays small and there is little in it that can fail. A child that dies is started
again; the
socket is the supervisor's, so connections wait meanwhile instead of being refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modeldyno.app.orders import ERROR, GO, OPENED, READY, Orders
from modeldyno.app.places import DirectoryLock, Places
from modeldyno.domain.errors import ServiceError
from modeldyno.settings import Settings

if TYPE_CHECKING:
    from modeldyno.app.compose import Dyno

_STOP_SECONDS = 15.0
_RESTART_SECONDS = 0.5
_SHORT_LIFE_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 10.0
_ORPHANED_LOCK_SECONDS = 10.0


class Child:
    """One child process and its pipes."""

    def __init__(self, name: str, orders: Orders, log: Path, keep_fds: tuple[int, ...]) -> None:
        self.name = name
        self._orders = orders
        self._log = log
        self._keep_fds = keep_fds
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and hand it its orders; it waits for `go`."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # no module of the directory that the user happens to be in
                "-m",
                f"modeldyno.app.{self.name}",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                pass_fds=self._keep_fds,
                start_new_session=True,
            )
        self._write(msgspec.json.encode(self._orders) + b"\n")

    def go(self) -> None:
        """Let it open the store."""
        self._write(GO)

    def _write(self, data: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(data)

    async def heard(self, word: str) -> None:
        """Wait for its news.

        Raises:
            ServiceError: it said why it cannot go on, or ended without a word (its log has the reason).
        """
        assert self._process is not None
        assert self._process.stdout is not None
        while line := (await self._process.stdout.readline()).decode().strip():
            if line.startswith(ERROR):
                await self._process.wait()
                raise ServiceError(line.removeprefix(ERROR))
            if line == word:
                return
        status = await self._process.wait()
        raise ServiceError(f"The {self.name} ended with status {status}; its log is {self._log}.")

    async def ended(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when that takes too long."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def serve(settings: Settings, places: Places, on_ready: Callable[[str], None]) -> None:
    """Run the whole service until SIGTERM or SIGINT. `on_ready` gets the URL.

    Raises:
        ServiceError: it cannot start; one line says why.
    """
    places.make()
    lock = _locked(places)
    try:
        with _bound(settings) as listener:
            asyncio.run(_serve(settings, places, lock, listener, on_ready))
    finally:
        lock.release()


async def _serve(
    settings: Settings, places: Places, lock: DirectoryLock, listener: socket.socket, on_ready: Callable[[str], None]
) -> None:
    stop = _stop_on_signals()
    fds = (listener.fileno(), *lock.descriptors)
    exposed = settings.tls.behind_proxy or not is_loopback(settings.host)
    orders = Orders(settings, listener.fileno(), serves=True, exposed=exposed)
    front = Child("front", orders, places.logs / "front.log", fds)
    worker = Child("worker", Orders(settings, serves=True), places.logs / "worker.log", lock.descriptors)
    try:
        await asyncio.gather(worker.start(), front.start())
        worker.go()
        await worker.heard(OPENED)
        front.go()
        await asyncio.gather(worker.heard(READY), front.heard(READY))
        host, port = listener.getsockname()[:2]
        scheme = "https" if settings.tls.cert else "http"
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        lock.tell(url)
        on_ready(url)
        keepers = [asyncio.create_task(_keep(child)) for child in (front, worker)]
        await stop.wait()
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
    finally:
        await asyncio.gather(front.stop(), worker.stop())


async def _keep(child: Child) -> None:
    """Start the child again whenever it ends; after each short life with a longer pause."""
    pauses = Pauses()
    while True:
        await child.ended()
        await asyncio.sleep(pauses.next())
        with contextlib.suppress(ServiceError):
            await child.start()
            child.go()
            await child.heard(READY)


class Pauses:
    """Seconds before a start: few at first, doubled after each life that was short."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._pause = _RESTART_SECONDS / 2

    def next(self) -> float:
        """The pause before the next start."""
        lived = time.monotonic() - self._began
        short = lived < _SHORT_LIFE_SECONDS + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS) if short else _RESTART_SECONDS
        self._began = time.monotonic()
        return self._pause


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _locked(places: Places) -> DirectoryLock:
    """The lock of the data directory. Children of a killed supervisor hold it until they are gone: that is
    waited for."""
    lock = DirectoryLock(places)
    if lock.try_acquire(_ORPHANED_LOCK_SECONDS):
        return lock
    raise ServiceError(
        f"The data directory {places.root} is in use by process {lock.holder() or 'unknown'}; "
        "stop it, or name another with --data-dir."
    )


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    """A listening socket.

    Raises:
        ServiceError: others could reach it in clear text, or the port is busy or not allowed.
    """
    host, port = settings.host, settings.port
    address = "127.0.0.1" if host == "localhost" else host
    _check_tls(settings)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(1024)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ServiceError(f"Cannot serve on {host}:{port}: {reason}. Choose another with --port.") from error
        yield listener


def _check_tls(settings: Settings) -> None:
    """
    Raises:
        ServiceError: half a certificate, one that is not there, or none where other machines can reach the service.
    """
    tls = settings.tls
    if bool(tls.cert) != bool(tls.key):
        raise ServiceError("TLS takes a certificate and its key: give both --tls-cert and --tls-key.")
    if tls.cert and tls.key:
        for name in (tls.cert, tls.key):
            try:
                Path(name).open("rb").close()
            except OSError as error:
                raise ServiceError(f"Cannot read {name} for TLS: {error.strerror}.") from error

        def no_passphrase() -> str:
            raise ServiceError(f"The key {tls.key} is encrypted: give --tls-key one without a passphrase.")

        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls.cert, tls.key, no_passphrase)
        except OSError as error:  # ssl.SSLError is one
            raise ServiceError(f"Cannot use the certificate {tls.cert} with the key {tls.key}: {error}.") from error
    elif not is_loopback(settings.host) and not tls.behind_proxy:
        raise ServiceError(
            f"Other machines can reach {settings.host}, so Dyno serves it with TLS only: give --tls-cert and --tls-key,"
            " or --behind-tls-proxy where a proxy in front of it ends TLS. Whoever may deploy a model may run code."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def local_worker(dyno: Dyno) -> Iterator[None]:
    """Make sure that a worker serves the data directory meanwhile.

    When `dyno up`, or another command, serves it already, nothing is started; should that end, a worker is
    started then.
    """
    stop = threading.Event()
    keeper = threading.Thread(
        target=_keep_worker, args=(dyno.settings, dyno.places, stop), name="worker-keeper", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join(_STOP_SECONDS + 5)


def _keep_worker(settings: Settings, places: Places, stop: threading.Event) -> None:
    lock = DirectoryLock(places)
    pauses = Pauses()
    try:
        while not stop.is_set():
            if lock.try_acquire():
                asyncio.run(_work(settings, places, lock, stop))
                stop.wait(pauses.next())
            else:
                stop.wait(_RESTART_SECONDS)
    finally:
        lock.release()


async def _work(settings: Settings, places: Places, lock: DirectoryLock, stop: threading.Event) -> None:
    worker = Child("worker", Orders(settings), places.logs / "worker.log", lock.descriptors)
    await worker.start()
    worker.go()
    ended = asyncio.create_task(worker.ended())
    try:
        while not stop.is_set() and not ended.done():
            await asyncio.sleep(0.05)
    finally:
        await worker.stop()
        await ended
