"""What was committed stays, whoever dies."""

import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from modeldyno.domain.errors import ResourceInUse, ServiceError
from modeldyno.domain.trial import TrialStatus
from modeldyno.ports import LogLine
from modeldyno.store import open_store
from modeldyno.store.database import Database
from modeldyno.testing.contracts.facts import REGION, a_job, a_resource, a_window, anywhere, some_specs
from modeldyno.testing.postgres import postgres_server

# Writes until it is killed, and says each thing once it is committed.
WRITER = """
import sys
from modeldyno.store import open_store
from modeldyno.ports import LogLine
from modeldyno.testing.contracts.facts import a_window
store = open_store(sys.argv[1], migrate=False, now=0.0)
for number in range(1_000_000):
    assert store.add_window("id-j-0", 1, a_window(number))
    store.log("id-j", [LogLine(float(number), "a"), LogLine(float(number), "b")])
    print(number, flush=True)
"""

# Claims and ends trials until there is none; dies without a word in every third.
WORKER = """
import os, signal, sys
from modeldyno.domain.trial import TrialStatus
from modeldyno.store import open_store
from modeldyno.testing.contracts.facts import anywhere
store, worker = open_store(sys.argv[1], migrate=False, now=0.0), sys.argv[2]
store.release_worker(worker)
count = 0
while claim := store.claim_trial(worker, anywhere, 10.0, 1e6):
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    assert store.finish_trial(claim.trial.id, claim.trial.attempt, TrialStatus.COMPLETED, 11.0)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/dyno.sqlite"


@pytest.fixture
def store(url):
    store = open_store(url, migrate=True, now=0.0)
    yield store
    store.close()


def plan(store, trials=1, **changes):
    store.add_job(a_job(**changes))
    store.plan_job("id-j", some_specs(trials), [], 5.0)


def test_a_killed_writer_loses_nothing_that_it_committed(store, url):
    plan(store)
    store.claim_trial("w", anywhere, 6.0, 1e6)
    for said_before_the_kill in (1, 7, 30):
        with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True) as writer:
            said = [int(writer.stdout.readline()) for _ in range(said_before_the_kill)]
            writer.kill()
            said += [int(line) for line in writer.stdout.read().splitlines()]
        kept = {window.sequence for window in store.windows("id-j-0")}
        assert set(said) <= kept
        lines = store.log_lines("id-j")
        assert [line.message for line in lines] == ["a", "b"] * (len(lines) // 2)
        assert {float(number) for number in said} <= {line.at for line in lines}


def test_workers_that_die_and_come_back_end_every_trial_once(store, url):
    plan(store, trials=6, max_parallel=2)

    def live_on(name):
        ends = []
        while not ends or ends[-1] == -signal.SIGKILL:
            ends.append(subprocess.run([sys.executable, "-c", WORKER, url, name], check=False).returncode)
        assert ends[-1] == 0

    threads = [threading.Thread(target=live_on, args=(name,)) for name in ("v", "w")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [trial for trial in store.trials("id-j") if trial.status is not TrialStatus.COMPLETED]
    assert left == []
    assert max(trial.attempt for trial in store.trials("id-j")) > 1


def test_a_writer_waits_for_another(store, url, tmp_path):
    import sqlite3

    other = sqlite3.connect(tmp_path / "dyno.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
    store.add_job(a_job())
    assert store.job(REGION, "j") == a_job()
    other.close()


# a COMMIT of which nobody knows whether it counted
@pytest.fixture
def lose_a_commit(store):
    """Let the next COMMIT count (or not), and then say that the connection was lost."""
    engine = store._database.engine

    def arm(*, counts):
        def lose(connection):
            event.remove(engine, "commit", lose)
            driver = connection.connection.driver_connection
            driver.commit() if counts else driver.rollback()
            raise OperationalError("COMMIT", None, Exception("lost"), connection_invalidated=True)

        event.listen(engine, "commit", lose)

    return arm


@pytest.mark.parametrize("counts", [True, False])
def test_a_commit_that_may_have_counted_is_not_done_twice(store, lose_a_commit, counts):
    lose_a_commit(counts=counts)
    store.add_resource(a_resource())
    lose_a_commit(counts=counts)
    plan(store, trials=2, max_parallel=2)
    lose_a_commit(counts=counts)
    claim = store.claim_trial("w", anywhere, 6.0, 10.0)
    assert (claim.trial.id, claim.trial.attempt) == ("id-j-0", 1)
    assert [trial.attempt for trial in store.trials("id-j")] == [1, 0]
    lose_a_commit(counts=counts)
    assert store.finish_trial("id-j-0", 1, TrialStatus.COMPLETED, 7.0)
    with pytest.raises(ResourceInUse):
        store.add_resource(a_resource())


def test_what_another_made_is_not_taken_for_ones_own(store, lose_a_commit):
    lose_a_commit(counts=False)
    store.add_job(a_job(id="mine"))
    with pytest.raises(ResourceInUse):
        store.add_job(a_job(id="another"))


def test_patience_ends_in_one_line(store, tmp_path):
    import sqlite3

    other = sqlite3.connect(tmp_path / "dyno.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    impatient = Database(store._database.engine, patience_seconds=0.0)
    with impatient.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    with pytest.raises(ServiceError, match="The database cannot be used: database is locked"):
        impatient.write(lambda connection: None)
    other.close()


@pytest.mark.postgres
def test_a_restart_of_postgresql_ends_nothing():
    with postgres_server() as server:
        store = open_store(server.url(server.new_database()), migrate=True, now=0.0)
        plan(store, trials=1)
        store.claim_trial("w", anywhere, 6.0, 1e6)
        again = threading.Event()
        failures = []

        def write():
            try:
                for number in range(400):
                    assert store.add_window("id-j-0", 1, a_window(number))
                    store.log("id-j", [LogLine(float(number), "x")])
                    assert not store.stop_wanted("id-j-0", 1)
                    if number == 50:
                        again.set()
            except BaseException as error:
                failures.append(error)
                again.set()

        writer = threading.Thread(target=write)
        writer.start()
        again.wait()
        server.stop()
        server.start()
        writer.join()
        assert failures == []
        assert [window.sequence for window in store.windows("id-j-0")] == list(range(400))
        assert {line.at for line in store.log_lines("id-j")} == {float(number) for number in range(400)}
        store.close()


def test_the_process_that_opened_a_store_may_go_while_others_use_it(store, url):
    program = (
        f"from modeldyno.store import open_store; open_store({url!r}, migrate=False, now=0.0); import os; os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 9
    store.add_job(a_job())
    assert os.path.exists(url.removeprefix("sqlite:///"))
