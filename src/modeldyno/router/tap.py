"""What is done with a request once its caller has the answer: counted, mirrored, captured. Nothing here waits."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import uuid
from collections import OrderedDict
from pathlib import Path

from modeldyno.domain.endpoint import CaptureSpec
from modeldyno.domain.pair import Outcome, Pair, Side
from modeldyno.domain.routing import Sampler
from modeldyno.ports import Clock
from modeldyno.router.invoke import Exchange
from modeldyno.router.metrics import Metrics
from modeldyno.router.mirror import Copy, Mirror, MirrorLimits
from modeldyno.router.request import Invocation
from modeldyno.router.spool import Spool
from modeldyno.router.table import Target
from modeldyno.router.tally import ELIGIBLE, REFUSED_CAPTURES, Tally

# Retries of one request come within seconds; botocore's longest row of them is some minutes.
_MOST_SEEN = 65_536
# botocore sends a UUID.
_LONGEST_ID = 64


class Tap:
    """The observer of this front's `Invoker`."""

    def __init__(
        self,
        spool_root: Path,
        life: str,
        clock: Clock,
        metrics: Metrics,
        limits: MirrorLimits,
        *,
        noise_percent: float,
        most_waiting_bytes: int,
        most_spool_bytes: int,
        spare_bytes: int,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._mirror = Mirror(limits)
        self._noise = Sampler(noise_percent)
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._loop = asyncio.get_running_loop()
        self._spool = Spool(
            spool_root,
            life,
            self._written,
            most_waiting_bytes=most_waiting_bytes,
            most_bytes=most_spool_bytes,
            spare_bytes=spare_bytes,
        )
        self._tally = Tally(self._spool.directory / "tally")

    # --- `invoke.Observer` ---

    def arrived(self, target: Target, invocation: Invocation) -> None:
        """Count it, and decide whether it is mirrored."""
        if target.route.mirror is None or self._is_retry(invocation.client_id):
            return
        invocation.key = key_of(target)
        invocation.selected = target.sampler.selects()
        self._tally.add(invocation.key, ELIGIBLE)

    def refused(self, target: Target, invocation: Invocation, status: int) -> None:
        """It reached no model."""
        self._metrics.refused(target, invocation, status)
        if invocation.key:
            self._tally.add(invocation.key, Outcome.PRODUCTION_FAILED)

    def answered(self, target: Target, exchange: Exchange) -> None:
        """Mirror it, capture it, or neither."""
        self._metrics.answered(target, exchange)
        invocation, mirror = exchange.invocation, target.route.mirror
        capture = target.route.capture
        captured = capture if capture is not None and target.captures.selects() else None
        wanted = mirror is not None and invocation.selected and not exchange.left
        if invocation.key and mirror is not None and wanted and invocation.key == key_of(target):
            done = functools.partial(self._mirrored, captured=captured)
            self._mirror.offer(Copy(target, mirror, exchange, done, twice=self._noise.selects()))
            return
        if invocation.key:
            outcome = Outcome.PRODUCTION_FAILED if exchange.failed else Outcome.UNSAMPLED
            cancelled = invocation.selected or exchange.left
            self._tally.add(invocation.key, Outcome.CANCELLED if cancelled else outcome)
        if captured is not None:
            self._keep(self._pair(target, exchange, None, None, captured))

    # --- within ---

    def _is_retry(self, client_id: bytes | None) -> bool:
        """Whether a client sends this request again: all its tries have one id."""
        if client_id is None:
            return False
        if len(client_id) > _LONGEST_ID:  # what is remembered has a bound
            client_id = hashlib.sha256(client_id).digest()
        if client_id in self._seen:
            return True
        self._seen[client_id] = None
        if len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return False

    def _mirrored(self, copy: Copy, side: Side | None, outcome: Outcome, *, captured: CaptureSpec | None) -> None:
        """The shadow has answered, or was not asked."""
        exchange = copy.exchange
        if exchange.failed:
            outcome = Outcome.PRODUCTION_FAILED
        if side is not None:
            self._metrics.mirrored(copy.target, side)
        pair = self._pair(copy.target, exchange, side, outcome, captured, copy.wait_ns, copy.again)
        if side is None and captured is None:
            self._tally.add(pair.key, outcome)
            return
        self._keep(pair)

    def _keep(self, pair: Pair) -> None:
        if not self._spool.offer(pair):
            self._lost(pair)

    def _lost(self, pair: Pair) -> None:
        if pair.outcome is not None:
            self._tally.add(pair.key, pair.outcome if pair.shadow is None else Outcome.DROPPED)
        if pair.capture is not None:
            self._tally.add(pair.key, REFUSED_CAPTURES)

    def _written(self, pair: Pair, kept: bool) -> None:
        """In the spool's thread: the outcome counts once the pair is written."""
        self._loop.call_soon_threadsafe(self._count, pair, kept)

    def _count(self, pair: Pair, kept: bool) -> None:
        self._spool.settle(pair.size)
        if not kept:
            self._lost(pair)
        elif pair.outcome is not None:
            self._tally.add(pair.key, pair.outcome)

    def _pair(
        self,
        target: Target,
        exchange: Exchange,
        side: Side | None,
        outcome: Outcome | None,
        captured: CaptureSpec | None,
        wait_ns: int = 0,
        again: Side | None = None,
    ) -> Pair:
        invocation = exchange.invocation
        return Pair(
            key=invocation.key or key_of(target),
            region=invocation.region,
            endpoint=invocation.endpoint,
            event_id=str(uuid.uuid4()),
            at=self._clock.now(),
            content_type=(invocation.content_type or b"").decode("latin-1"),
            body=exchange.body,
            production=Side(
                exchange.variant,
                exchange.status,
                exchange.content_type.decode("latin-1"),
                exchange.answer,
                exchange.model_ns,
            ),
            shadow=side,
            wait_ns=wait_ns,
            outcome=outcome,
            capture=captured,
            inference_id=_text(invocation.inference_id),
            attributes=_text(invocation.attributes),
            streamed=exchange.streamed,
            again=again,
        )

    @property
    def held(self) -> tuple[int, int]:
        """Of the mirror: requests and bytes."""
        return self._mirror.held

    async def end(self, seconds: float) -> None:
        """Finish what is being mirrored, for so long, and write down the rest."""
        await self._mirror.end(seconds)
        await asyncio.to_thread(self._spool.close)
        await asyncio.sleep(0)  # what the thread told last
        self._tally.close()


def key_of(target: Target) -> str:
    """Under what its requests are counted."""
    return target.route.experiment_id or target.route.endpoint_id


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
