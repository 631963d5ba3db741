"""What a person sees of endpoints and shadow tests on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import Result

from modeldyno.app.compose import Dyno
from modeldyno.cli.shadow import follow
from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, Rollout, Server, ServerStatus, Update
from modeldyno.domain.errors import ResourceNotFound
from modeldyno.domain.evidence import Evidence, add, look_at
from modeldyno.domain.experiment import Experiment, ExperimentStatus
from modeldyno.domain.rollout import step
from modeldyno.engine.answers import read_answer
from tests.unit.cli.stored import REGION
from tests.unit.domain.hosted import a_pair, an_endpoint, an_experiment, fleet_spec

Run = Callable[..., Result]


def add_endpoint(dyno: Dyno, *, ready: bool = True) -> Endpoint:
    """An endpoint ``e`` with a server, which is ready or has just been asked for."""
    made = an_endpoint()
    dyno.store.add_endpoint(made)
    dyno.store.step_endpoint(REGION, "e", lambda row, rows: step(row, rows, 1.0))
    if ready:
        server = dyno.store.servers()[0]
        facts = {"status": ServerStatus.READY, "url": "http://127.0.0.1:9", "usage": {"cpu": 12.4, "memory": 3.0}}
        dyno.store.change_server(
            server.id, server.attempt, lambda row: replace(row, **facts, flags={"f": "It shares."})
        )
        dyno.store.step_endpoint(REGION, "e", lambda row, rows: step(row, rows, 2.0))
        dyno.store.tell(made.arn, 2.0, "main/0 is ready: acme.")
    return made


def change(dyno: Dyno, changed: Callable[[Endpoint], Endpoint]) -> None:
    dyno.store.change_endpoint(REGION, "e", changed)


def add_experiment(dyno: Dyno, answers: bytes = b'["cat"]', count: int = 0, **changes: object) -> Experiment:
    experiment = an_experiment(**{"status": ExperimentStatus.RUNNING, **changes})
    dyno.store.add_experiment(experiment)
    pairs = [a_pair(b'["cat"]', answers, at=1 + n / 10) for n in range(count)]

    def learn(before: Evidence | None) -> Evidence:
        evidence = before or Evidence()
        add(evidence, look_at(pairs, 1e-6, read_answer))
        return evidence

    if pairs:
        dyno.store.add_evidence(f"segment-{experiment.name}", {experiment.id: learn}, 1.0)
        counts = {"eligible": 2 * count, "compared": count, "unsampled": count}
        dyno.store.put_tally(experiment.id, "life", counts, ended=False)
    return experiment


# --- endpoints -------------------------------------------------------------------------------------------------------


def test_no_endpoints_and_no_experiments_are_said(run: Run) -> None:
    assert run("endpoints").stderr == "No endpoints in us-east-1.\n"
    assert run("shadow", "list").stderr == "No experiments in us-east-1.\n"


@pytest.mark.parametrize("command", [("endpoints", "nobody"), ("shadow", "report", "nobody"),
                                     ("shadow", "report", "nobody", "--watch")])  # fmt: skip
def test_an_unknown_name_is_one_line_and_status_1(run: Run, command: tuple[str, ...]) -> None:
    shown = run(*command)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("dyno: There is no ")
    assert shown.stderr.count("\n") == 1


def test_endpoints_are_listed_with_what_their_servers_use_and_share(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno)
    lines = run("endpoints").stdout.splitlines()
    assert lines[0].split() == ["e", "InService"]
    assert lines[2].split() == ["main", "local.one", "READY", "http://127.0.0.1:9", "12%", "3%", "It", "shares."]


def test_an_endpoint_without_a_server_says_so_and_why(run: Run, dyno: Dyno) -> None:
    dyno.store.add_endpoint(replace(an_endpoint(status=EndpointStatus.FAILED), failure_reason="It is too large."))
    text = run("endpoints").stdout
    assert "e  Failed · It is too large.\n" in text
    assert "It has no servers." in text


def test_one_that_serves_after_an_update_that_failed_says_which_of_the_two_failed(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno)
    change(dyno, lambda row: replace(row, failure_reason="It is too large."))
    assert run("endpoints").stdout.startswith("e  InService · its last change was taken back: It is too large.\n")


def test_an_update_and_an_experiment_are_told_beside_the_status(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno)
    update = Update(Fleet(2, fleet_spec(config="second")), Rollout(), 1.0)
    change(dyno, lambda row: replace(row, status=EndpointStatus.UPDATING, update=update, experiment="x"))
    first = run("endpoints").stdout.splitlines()[0]
    assert first == "e  Updating · on its way to second, which has no traffic yet · inference experiment x"
    change(dyno, lambda row: replace(row, update=replace(update, share=0.25)))
    assert "which has 25% of the traffic" in run("endpoints").stdout


def test_one_endpoint_has_its_story_and_the_last_lines_of_its_servers(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno)
    log = dyno.places.server_log(REGION, "e", "main", 0)
    log.parent.mkdir(parents=True)
    log.write_text("old\n" * 30 + "".join(f"line {n}\n" for n in range(20)) + "\x1b[31mValueError: no\n")
    text = run("endpoints", "e").stdout
    assert text.splitlines()[0].split() == ["e", "InService"]
    assert "1970-01-01 00:00:02 main/0 is ready: acme." in text
    assert f"--- the last lines of {log} ---" in text
    assert text.splitlines()[-2:] == ["line 19", "\\x1b[31mValueError: no"]
    assert "line 8\n" not in text


def test_a_server_that_starts_has_nothing_invented(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno, ready=False)
    assert run("endpoints", "e").stdout.splitlines()[2].split() == ["main", "local.one", "PENDING"]


def test_a_server_that_is_drained_is_called_so(run: Run, dyno: Dyno) -> None:
    add_endpoint(dyno)

    def drain(row: Server) -> Server:
        return replace(row, wanted=False)

    server = dyno.store.servers()[0]
    dyno.store.change_server(server.id, server.attempt, drain)
    assert "DRAINING" in run("endpoints").stdout


# --- shadow tests ----------------------------------------------------------------------------------------------------


def test_experiments_are_listed_with_pairs_and_verdict(run: Run, dyno: Dyno) -> None:
    add_experiment(dyno, b'["dog"]', 500)
    lines = run("shadow", "list").stdout.splitlines()
    assert lines[1].split() == ["x", "Running", "e", "50%", "500", "harmful"]


def test_an_experiment_that_has_just_begun_has_a_report(run: Run, dyno: Dyno) -> None:
    add_experiment(dyno, status=ExperimentStatus.CREATING)
    text = run("shadow", "report", "x").stdout
    assert "x: cannot tell yet: the variants are being started." in text
    assert "0 in all" in text


def test_the_report_as_json_is_the_document_alone(run: Run, dyno: Dyno) -> None:
    add_experiment(dyno, count=100)
    document = json.loads(run("shadow", "report", "x", "--json").stdout)
    assert (document["format"], document["pairs"]) == ("dyno-shadow/1", 100)
    assert document["accounting"]["unsampled"] == 100


def test_the_report_as_a_page_goes_to_a_file(run: Run, dyno: Dyno, tmp_path: Path) -> None:
    add_experiment(dyno, count=100)
    page = tmp_path / "page.html"
    shown = run("shadow", "report", "x", "--html", str(page))
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert page.read_text().startswith("<!doctype html>")
    missing = run("shadow", "report", "x", "--html", str(tmp_path / "no" / "page.html"))
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)


def test_json_and_watch_exclude_each_other(run: Run) -> None:
    assert run("shadow", "report", "x", "--json", "--watch").exit_code == 2


def test_watching_one_that_has_ended_shows_it_and_returns(run: Run, dyno: Dyno) -> None:
    add_experiment(dyno, b'["dog"]', 500, status=ExperimentStatus.COMPLETED, status_reason="we saw\x1b enough")
    shown = run("shadow", "report", "x", "--watch")
    assert shown.exit_code == 0
    assert "x: the shadow is harmful." in shown.stdout
    assert "Ended: we saw\\x1b enough" in shown.stdout


def test_without_a_terminal_an_experiment_is_followed_in_lines(dyno: Dyno, monkeypatch: pytest.MonkeyPatch) -> None:
    add_experiment(dyno, count=50)
    monkeypatch.setattr("modeldyno.cli.shadow._WATCH_SECONDS", 0.0)
    file, looks = io.StringIO(), iter(range(5))
    follow(dyno, REGION, "x", Console(file=file), lambda document: next(looks) == 4)
    lines = file.getvalue().splitlines()
    words = (
        "Running: cannot tell yet (errors cannot tell yet, latency cannot tell yet, answers cannot tell yet), 50 pairs"
    )
    assert lines[0] == words
    assert lines.count(words) == 1
    assert "Every request that could be mirrored" in file.getvalue()


def test_on_a_terminal_it_is_one_view(dyno: Dyno) -> None:
    add_experiment(dyno, count=50)
    file = io.StringIO()
    follow(dyno, REGION, "x", Console(file=file, force_terminal=True, width=100), lambda document: True)
    assert file.getvalue().count("Where answers differ") == 0
    assert "Questions" in file.getvalue()


def test_following_one_that_is_removed_says_so(dyno: Dyno) -> None:
    with pytest.raises(ResourceNotFound):
        follow(dyno, REGION, "x", Console(file=io.StringIO()))
