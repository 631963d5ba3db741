"""How `dyno load` goes: one or more generators, their windows put together, and the answer."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import SplitResult, urlsplit

import typer

from modeldyno.cli.load_report import RawKept, report, told
from modeldyno.cli.options import INTERRUPTED, named
from modeldyno.domain.errors import DynoError, InvalidRequest
from modeldyno.domain.measurement import Window, joined, merged_latency
from modeldyno.domain.traffic import Arrivals
from modeldyno.load.process import ProcessGenerator
from modeldyno.load.raw_archive import write_archive
from modeldyno.ports import LoadTarget

MOST_RAW_RECORDS = 10_000_000
"""Of one run, all generators together. Chosen: some 420 MB."""
_RATES = (0.001, 10_000_000)
_SEED = 1  # the same bodies and arrivals each time


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `users` or `per_second`: the other one is None."""

    url: str
    path: str
    users: int | None
    per_second: float | None
    arrivals: Arrivals
    duration_seconds: float
    body: Path | None
    body_dir: Path | None
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    processes: int
    timeout_seconds: float
    raw: Path | None

    @property
    def method(self) -> str:
        """POST with a body, GET without."""
        return "POST" if self.body or self.body_dir else "GET"


@dataclass(slots=True)
class Driven:
    """The windows of one generator: those of the duration, and those in which the last answers came."""

    measured: list[Window] = field(default_factory=list)
    drained: list[Window] = field(default_factory=list)


def choose(
    *,
    url: str,
    users: int | None,
    rate: float | None,
    arrivals: Arrivals | None,
    duration_seconds: float,
    body: Path | None,
    body_dir: Path | None,
    content_type: str | None,
    headers: Sequence[str],
    processes: int,
    timeout_seconds: float,
    raw: Path | None,
) -> Wish:
    """The options as one wish.

    Raises:
        InvalidRequest: they contradict each other; says what to do.
    """
    parts = _parts(url)
    rules = {
        "Choose --users (closed loop) or --rate (open loop), not both.": users is None or rate is None,
        f"--rate must be from {_RATES[0]:g} to {_RATES[1]:,}.": rate is None or _RATES[0] <= rate <= _RATES[1],
        "--arrivals is of the open loop: give --rate.": arrivals is None or rate is not None,
        "--duration must be above 0, and at most a day.": 0 < duration_seconds <= 86_400,
        "--timeout must be above 0.": 0 < timeout_seconds <= 86_400,
        "Choose --body or --body-dir, not both.": body is None or body_dir is None,
        "--content-type is the type of a body: give --body or --body-dir.": content_type is None
        or body is not None
        or body_dir is not None,
        f"--processes {processes} needs as many --users.": rate is not None or (users or 1) >= processes,
    }
    if broken := [text for text, holds in rules.items() if not holds]:
        raise InvalidRequest(broken)
    return Wish(
        url=f"http://{parts.netloc}",
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        users=None if rate is not None else users or 1,
        per_second=rate,
        arrivals=arrivals or Arrivals.POISSON,
        duration_seconds=duration_seconds,
        body=body,
        body_dir=body_dir,
        content_type=content_type,
        headers=tuple(_header(text) for text in headers),
        processes=processes,
        timeout_seconds=timeout_seconds,
        raw=raw,
    )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        served = parts.scheme == "http" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise InvalidRequest(f"'{url}' is no URL: {error}.") from error
    if "@" in parts.netloc:
        raise InvalidRequest("The URL holds a name or a password: give them as --header 'Authorization: Basic ...'.")
    if not served:
        raise InvalidRequest(f"'{url}' is not an http:// URL.")
    return parts


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise InvalidRequest(f"'{text}' is not a header: write 'Name: value'.")
    return name.strip(), value.strip()


def run(wish: Wish, *, json: bool) -> int:
    """Drive, and print the answer, also of an interrupted load; the exit status: 0, 1 where no request succeeded, or
    130 where it was interrupted.

    Raises:
        DynoError, OSError: it could not be done.
        KeyboardInterrupt: it was interrupted before there was anything to tell.
    """
    interrupted = False
    with TemporaryDirectory(prefix="dyno-load-") as directory:
        targets = _targets(wish, Path(directory))
        driven = [Driven() for _ in targets]
        try:
            with _progress(wish) as tell:
                asyncio.run(_drive(wish, targets, driven, tell))
        except KeyboardInterrupt:
            interrupted = True
            if not all(each.measured for each in driven):
                raise
        kept, lost = None, None
        if wish.raw is not None:
            try:
                kept = _keep(targets, wish.raw)
            except OSError as error:  # a full disk takes the records, not what was measured
                lost = error
    measured = [joined(together) for together in zip(*(each.measured for each in driven), strict=not interrupted)]
    drained = [window for each in driven for window in each.drained]
    document = {
        "format": "dyno-load/1",
        "url": wish.url + wish.path,
        "method": wish.method,
        "interrupted": interrupted,
        **_loop(wish),
        **report(measured, drained, processes=wish.processes, raw=kept),
    }
    _print(document, json=json)
    if lost is not None:
        raise lost
    return INTERRUPTED if interrupted else _status(document)


def _print(document: dict[str, Any], *, json: bool) -> None:
    if json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
    else:
        typer.echo(told(document))


def _status(document: dict[str, Any]) -> int:
    if document["requests"] > sum(document["failed"].values()):
        return 0
    typer.echo("dyno: no request succeeded.", err=True)
    return 1


def _keep(targets: Sequence[LoadTarget], path: Path) -> RawKept:
    with named(path):
        total = write_archive([target.raw_path for target in targets if target.raw_path], path)
    return RawKept(str(path), total.records, total.cut)


def _loop(wish: Wish) -> dict[str, object]:
    if wish.per_second is None:
        return {"loop": "closed", "users": wish.users}
    return {"loop": "open", "rate_per_second": wish.per_second, "arrivals": wish.arrivals}


def _targets(wish: Wish, directory: Path) -> list[LoadTarget]:
    """One for each generator. A single body lies alone in a directory."""
    payloads = wish.body_dir
    if wish.body is not None:
        payloads = directory / "bodies"
        payloads.mkdir()
        shutil.copyfile(wish.body, payloads / (wish.body.name.lstrip(".") or "body"))
    target = LoadTarget(
        url=wish.url,
        payload_dir=payloads,
        content_type=wish.content_type,
        accept=None,
        seed=_SEED,
        timeout_seconds=wish.timeout_seconds,
        method=wish.method,
        path=wish.path,
        headers=wish.headers,
        raw_limit=MOST_RAW_RECORDS // wish.processes,
    )
    return [
        replace(target, seed=_SEED + number, raw_path=directory / f"{number}.raw" if wish.raw else None)
        for number in range(wish.processes)
    ]


async def _drive(
    wish: Wish, targets: Sequence[LoadTarget], driven: Sequence[Driven], tell: Callable[[Window], None]
) -> None:
    """All generators side by side; the first that fails ends the others. `driven`: what each has gathered."""

    def heard() -> None:
        if len({len(each.measured) for each in driven}) == 1:
            tell(joined([each.measured[-1] for each in driven]))

    try:
        async with asyncio.TaskGroup() as group:
            for number, target in enumerate(targets):
                group.create_task(_drive_one(wish, number, target, driven[number], heard))
    except* DynoError as errors:
        raise errors.exceptions[0] from None


async def _drive_one(wish: Wish, number: int, target: LoadTarget, driven: Driven, heard: Callable[[], None]) -> None:
    """Measure for the duration, in windows of about a second; then wait for what is in flight."""
    count = max(1, round(wish.duration_seconds))
    async with ProcessGenerator(wish.duration_seconds / count).drive(target) as session:
        if wish.per_second is None:
            least, more = divmod(wish.users or 1, wish.processes)
            await session.set_users(least + (number < more))
        else:
            await session.set_rate(wish.per_second / wish.processes, wish.arrivals)
        async for window in session.windows():
            if not window.settling and (window.users or window.offered is not None):
                driven.measured.append(window)
                heard()
                if len(driven.measured) == count:
                    break
        await session.set_users(0)
        async for window in session.windows():
            driven.drained.append(window)
            if window.users == window.in_flight == 0 and window.offered is None:
                break


@contextmanager
def _progress(wish: Wish) -> Iterator[Callable[[Window], None]]:
    """One line a second on standard error; on a terminal, one that changes."""
    terminal = sys.stderr.isatty()
    seconds = itertools.accumulate(itertools.repeat(wish.duration_seconds / max(1, round(wish.duration_seconds))))

    def tell(window: Window) -> None:
        p95_ns = merged_latency([window]).quantile_ns(0.95)
        latency = "no answer" if p95_ns is None else f"p95 {p95_ns / 1e6:.2f} ms"
        waiting = f", {window.in_flight} in flight" if window.offered is not None else ""
        failed = f", {window.failures} failed" if window.failures else ""
        line = f"{next(seconds):4.0f} s  {window.per_second:,.0f} requests/s, {latency}{waiting}{failed}"
        typer.echo(f"\r{line}\x1b[K" if terminal else line, err=True, nl=not terminal)

    yield tell
    if terminal:
        typer.echo("\r\x1b[K", err=True, nl=False)
