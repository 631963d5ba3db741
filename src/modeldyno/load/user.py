"""A simulated user: invokes, waits for the whole answer, invokes again, on a connection of its own."""

from __future__ import annotations

from time import perf_counter_ns

from modeldyno.load.connection import Connection, Scene


class User(Connection):
    """One user of a closed loop: the intended time of a request is when it is sent, or when the connection for it was
    asked for, where there is none to be had."""

    __slots__ = ("gone",)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.gone = False
        self._open()

    def leave(self) -> None:
        """Finish the request in flight, then be `gone`."""
        self.gone = True
        self._last = True
        if self._transport is None and self._opening is not None:
            self._opening.cancel()

    @property
    def finished(self) -> bool:
        """Whether the user has left and has nothing in flight."""
        return self.gone and self._transport is None

    def _go_on(self) -> None:
        if self.gone:
            self._drop()
            return
        now_ns = perf_counter_ns()
        self._send(now_ns, now_ns)

    def _unconnected(self, kind: str) -> None:
        self._scene.recorder.lose(kind, self._begun_ns)
        self._pause = True
        self._lost()

    def _lost(self) -> None:
        if not self.gone:
            self._open()
