"""What every `ports.InstanceBackend` does. Subclass, and give the fixtures `backend`, `order`, `kill`, `abandon`,
`is_left`."""

# ruff: noqa: D102  (the name of a test says what it shows)

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest

from modeldyno.domain.errors import HostCannot, ModelFault
from modeldyno.ports import DeployRequest, Instance, InstanceBackend, Tag
from modeldyno.testing.behaving_server import Behaviour

INSTALLATION, WORKER = "contract", "worker-1"
STARTUP_SECONDS = 60.0  # far more than any start takes, on a machine in a virtual machine too

Kill = Callable[[Instance], None]
Abandon = Callable[[DeployRequest], None]
IsLeft = Callable[[Tag], bool]


class Order(Protocol):
    """Makes requests for a server that behaves so, under a limit of 64 MiB."""

    def __call__(
        self, behaviour: Behaviour = Behaviour.HEALTHY, *, tag: Tag = ..., startup_seconds: float = ...
    ) -> DeployRequest:
        """The request."""
        ...


def a_tag(unit: str = "trial-1", attempt: int = 1, installation: str = INSTALLATION, worker: str = WORKER) -> Tag:
    """A tag of the contract's own installation."""
    return Tag(installation, worker, unit, attempt)


class InstanceBackendContract:
    """Collected by pytest in a subclass named ``Test...``.

    `kill` ends an instance's server by SIGKILL. `abandon` leaves a healthy server behind as a worker's crash would.
    `is_left`: whether anything of that tag is there (process, cgroup, directory).
    """

    async def test_a_deployed_server_is_up_and_nothing_of_it_is_left_afterwards(
        self, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order()
        async with backend.deploy(request) as instance:
            assert instance.url.startswith("http://127.0.0.1:")
            assert instance.death() is None
            assert instance.runtime
            assert is_left(request.tag)
        assert not is_left(request.tag)

    async def test_a_server_tells_how_long_it_took_to_be_ready(self, backend: InstanceBackend, order: Order) -> None:
        async with backend.deploy(order()) as instance:
            assert instance.setup_seconds > 0

    async def test_usage_tells_processor_time_and_memory(self, backend: InstanceBackend, order: Order) -> None:
        async with backend.deploy(order()) as instance:
            first = instance.usage()
            second = instance.usage()
        assert first.cpu_seconds is not None
        assert second.cpu_seconds is not None
        assert 0 <= first.cpu_seconds <= second.cpu_seconds
        assert first.memory_bytes is not None
        assert 0 < first.memory_bytes < 64 * 1024**2
        for everyone, own in first.core_seconds.values():
            assert everyone >= 0
            assert own >= 0

    async def test_a_server_that_exits_is_a_model_fault_with_its_status_and_last_words(
        self, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order(Behaviour.EXITS)
        with pytest.raises(
            ModelFault, match=r"^The model server exited with status 3 before /ping answered\.$"
        ) as told:
            async with backend.deploy(request):
                pass
        assert "these are its last words" in told.value.log_tail
        assert not is_left(request.tag)

    async def test_a_server_that_never_answers_is_a_model_fault_that_names_the_limit(
        self, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order(Behaviour.SILENT, startup_seconds=1.0)
        with pytest.raises(ModelFault, match="did not answer /ping with status 200 within 1 s"):
            async with backend.deploy(request):
                pass
        assert not is_left(request.tag)

    async def test_a_server_whose_ping_says_500_is_a_model_fault_that_says_so(
        self, backend: InstanceBackend, order: Order
    ) -> None:
        reason = ""
        for seconds in (1.0, 4.0, 16.0, STARTUP_SECONDS):  # a slow machine may need more until it listens
            with pytest.raises(ModelFault) as told:
                async with backend.deploy(order(Behaviour.PING_500, startup_seconds=seconds)):
                    pass
            reason = told.value.reason
            if "nothing listened" not in reason:
                break
        assert "status 500" in reason

    async def test_a_server_that_eats_its_memory_is_a_model_fault_that_names_the_limit(
        self, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order(Behaviour.EATS_MEMORY)
        with pytest.raises(ModelFault, match=r"was killed: out of memory \(64 MiB\) before /ping answered"):
            async with backend.deploy(request):
                pass
        assert not is_left(request.tag)

    async def test_a_server_that_dies_under_load_tells_how(
        self, backend: InstanceBackend, order: Order, kill: Kill
    ) -> None:
        async with backend.deploy(order()) as instance:
            kill(instance)
            async with asyncio.timeout(STARTUP_SECONDS):
                while instance.death() is None:
                    await asyncio.sleep(0.01)
            assert instance.death() == "killed by SIGKILL"

    async def test_what_the_caller_raises_comes_out_and_nothing_is_left(
        self, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order()
        with pytest.raises(HostCannot, match="changed my mind"):
            async with backend.deploy(request):
                raise HostCannot("changed my mind")
        assert not is_left(request.tag)

    @pytest.mark.parametrize("behaviour", [Behaviour.SILENT, Behaviour.HEALTHY])
    async def test_cancelled_at_any_moment_nothing_is_left(
        self, behaviour: Behaviour, backend: InstanceBackend, order: Order, is_left: IsLeft
    ) -> None:
        request = order(behaviour)

        async def hold() -> None:
            async with backend.deploy(request):
                await asyncio.sleep(STARTUP_SECONDS)

        task = asyncio.create_task(hold())
        async with asyncio.timeout(STARTUP_SECONDS):
            while not is_left(request.tag):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # twice, as an impatient supervisor does
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert not is_left(request.tag)

    async def test_orphans_of_the_same_worker_are_ended_but_for_those_to_keep(
        self, backend: InstanceBackend, order: Order, abandon: Abandon, is_left: IsLeft
    ) -> None:
        gone, kept = a_tag("gone"), a_tag("kept", 2)
        strangers = a_tag("strange", installation="other"), a_tag("strange", worker="worker-10")
        for tag in (gone, kept, *strangers):
            abandon(order(tag=tag))
        try:
            assert backend.remove_orphans(INSTALLATION, WORKER, keep={str(kept)}) == 1
            assert [is_left(tag) for tag in (gone, kept, *strangers)] == [False, True, True, True]
            assert backend.remove_orphans(INSTALLATION, WORKER) == 1
            assert [is_left(tag) for tag in (kept, *strangers)] == [False, True, True]
            assert backend.remove_orphans(INSTALLATION, WORKER) == 0
        finally:
            for tag in (kept, *strangers):
                backend.remove_orphans(tag.installation, tag.worker)
        assert not any(is_left(tag) for tag in (gone, kept, *strangers))

    def test_what_is_left_of_one_server_is_discarded_and_nothing_else(
        self, backend: InstanceBackend, order: Order, abandon: Abandon, is_left: IsLeft
    ) -> None:
        gone, kept = a_tag("gone"), a_tag("kept")
        try:
            for tag in (gone, kept):
                abandon(order(tag=tag))
            for _ in range(2):
                backend.discard(gone)
                assert [is_left(tag) for tag in (gone, kept)] == [False, True]
        finally:
            backend.remove_orphans(INSTALLATION, WORKER)

    async def test_a_running_server_answers_ping(self, backend: InstanceBackend, order: Order) -> None:
        async with backend.deploy(order()) as instance:
            assert await instance.ping() is None

    async def test_what_was_not_left_running_cannot_be_adopted(self, backend: InstanceBackend, order: Order) -> None:
        request = replace(order(), lasting=True)
        assert backend.adopt(request) is None
        async with backend.deploy(request):
            pass
        assert backend.adopt(request) is None

    def test_the_host_is_the_same_however_often_one_asks(self, backend: InstanceBackend) -> None:
        host = backend.host()
        assert host == backend.host()
        assert host.cores
        assert host.memory_mib > 0
