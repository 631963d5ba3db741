"""Requests of a session go to the server that opened it."""

from __future__ import annotations

from typing import Any

from modeldyno.domain.routing import Choice, Route
from modeldyno.router.table import Target


class Named:
    """An upstream by name."""

    def __init__(self, server_id: str) -> None:
        self.server_id = server_id
        self.in_flight = 0


def a_target(*names: str) -> tuple[Target, Choice]:
    choice = Choice("main", 1.0, tuple((name, "http://127.0.0.1:1") for name in names))
    upstreams: dict[str, Any] = {name: Named(name) for name in names}
    route = Route("e1", "us-east-1", "e", serves=True, choices=(choice,))
    return Target(route, (choice,), (1.0,), upstreams=upstreams), choice


def test_a_session_stays_where_it_was_opened_until_it_is_closed() -> None:
    target, choice = a_target("a", "b")
    assert target.of_session(b"one", choice) is None
    target.remember(target.upstreams["b"], b"one; Expires=2030-01-01T00:00:00Z", None)
    assert target.of_session(b"one", choice) is target.upstreams["b"]
    assert target.of_session(None, choice) is None
    target.remember(target.upstreams["b"], None, b"one")
    assert target.of_session(b"one", choice) is None


def test_a_session_whose_server_is_gone_goes_anywhere() -> None:
    target, _ = a_target("a", "b")
    target.remember(target.upstreams["b"], b"one", None)
    _, without = a_target("a")
    assert target.of_session(b"one", without) is None


def test_the_oldest_sessions_are_forgotten() -> None:
    target, choice = a_target("a")
    for number in range(10_001):
        target.remember(target.upstreams["a"], str(number).encode(), None)
    assert target.of_session(b"0", choice) is None
    assert target.of_session(b"10000", choice) is not None
