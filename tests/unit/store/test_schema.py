"""Opening a database: new, up to date, older, newer, strange."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

import modeldyno.store
from modeldyno.domain.errors import ServiceError
from modeldyno.domain.resource import Query
from modeldyno.store import open_store
from modeldyno.store.codec import job_values
from modeldyno.store.database import make_engine
from modeldyno.store.schema import NEWEST, REVISIONS
from modeldyno.testing.contracts.facts import HOST, REGION, a_job
from modeldyno.testing.postgres import postgres_server

MIGRATIONS = Path(modeldyno.store.__file__).parent / "migrations"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "dyno.sqlite"


@pytest.fixture
def url(file):
    return f"sqlite:///{file}"


@pytest.fixture
def opened(url):
    stores = []

    def act(**wishes):
        stores.append(open_store(url, **{"migrate": True, "now": 1_000_000_000.0, **wishes}))
        return stores[-1]

    yield act
    for store in stores:
        store.close()


def config_over(connection):
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def make_older(url):
    """A database of the first revision, with a job in it."""
    from sqlalchemy.engine import make_url

    engine = make_engine(make_url(url))
    with engine.execution_options(dyno_write=True).begin() as connection:
        command.upgrade(config_over(connection), "0001")
    engine.dispose()


def refusal(call):
    with pytest.raises(ServiceError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_migrations_lead_to_the_tables_that_the_queries_use(opened, url):
    from sqlalchemy.engine import make_url

    opened()
    engine = make_engine(make_url(url))
    with engine.begin() as connection:
        command.check(config_over(connection))
    engine.dispose()


def test_the_revisions_are_those_of_the_migrations():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS


def test_a_database_that_is_up_to_date_opens_without_alembic(opened, url):
    opened()
    program = (
        "import sys; from modeldyno.store import open_store;"
        f"open_store({url!r}, migrate=True, now=0.0).close(); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_older_database_is_backed_up_and_migrated(opened, url, file, tmp_path):
    make_older(url)
    with sqlite3.connect(file) as old:
        (installation,) = old.execute("SELECT id FROM installation").fetchone()
    store = opened(backup_dir=tmp_path / "backups")
    assert store.installation == installation
    store.heartbeat("w", HOST, 1.0, 10.0)
    (backup,) = (tmp_path / "backups").iterdir()
    assert backup.name == "dyno-0001-20010909T014640Z.sqlite"
    copy = sqlite3.connect(backup)
    assert copy.execute("SELECT version_num FROM dyno_schema").fetchone() == ("0001",)
    assert copy.execute("SELECT id FROM installation").fetchone() == (installation,)
    copy.close()


def test_an_older_database_keeps_its_jobs(opened, url, file):
    make_older(url)
    opened().add_job(a_job())
    newest = opened()
    assert newest.job(REGION, "j") == a_job()
    assert [path.name for path in file.parent.glob("dyno-0001-*.sqlite")] == ["dyno-0001-20010909T014640Z.sqlite"]


def test_the_jobs_of_an_older_database_are_found_by_what_they_measured(opened, url):
    make_older(url)
    values = {name: value for name, value in job_values(a_job()).items() if name not in ("model_key", "run_off")}
    columns = ", ".join(values)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as old, old:
        marks = ", ".join("?" * len(values))
        old.execute(f"INSERT INTO jobs ({columns}) VALUES ({marks})", tuple(values.values()))
    asked = Query(REGION, equals={"model_key": a_job().spec.model.key})
    assert [job.name for job in opened().find_jobs(asked).items] == [a_job().name]


def test_an_older_database_is_not_touched_without_leave(opened, url, file):
    make_older(url)
    before = file.read_bytes()
    said = refusal(lambda: opened(migrate=False))
    assert said == f"The database is of an older Dyno (schema 0001); run `dyno up` once to bring it to schema {NEWEST}."
    assert file.read_bytes() == before


def test_a_newer_database_is_refused(opened, file):
    opened().close()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE dyno_schema SET version_num = '9999'")
    connection.close()
    expected = f"The data directory was written by a newer Dyno (schema 9999); this Dyno knows up to {NEWEST}."
    for migrate in (True, False):
        assert refusal(lambda migrate=migrate: opened(migrate=migrate)) == expected


def test_a_database_that_is_not_there_is_not_made_without_leave(opened, file):
    assert refusal(lambda: opened(migrate=False)) == f"There is no database {file} yet; run `dyno up` once."
    assert not file.exists()


def test_an_empty_file_is_a_new_database(opened, file):
    file.touch()
    assert "run `dyno up` once" in refusal(lambda: opened(migrate=False))
    assert opened().installation


@pytest.mark.parametrize("content", [b"no database at all, but text" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_an_unreadable_file_is_told_in_one_line_and_left_alone(opened, file, content):
    file.write_bytes(content)
    assert refusal(opened).startswith(f"Cannot use the database {file}: ")
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_refused(opened, file):
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE jobs (id)")
    connection.close()
    assert refusal(opened) == "The database has tables that are not Dyno's: jobs."


def test_a_missing_directory_is_told(tmp_path):
    said = refusal(lambda: open_store(f"sqlite:///{tmp_path}/none/dyno.sqlite", migrate=True, now=0.0))
    assert said == f"There is no directory {tmp_path}/none for the database dyno.sqlite."


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://x/y", "not in mysql"),
        ("nonsense", "'nonsense' is not the URL of a database."),
    ],
)
def test_a_database_that_cannot_serve_is_told(url, said):
    assert said in refusal(lambda: open_store(url, migrate=True, now=0.0))


def test_a_server_that_does_not_answer_is_told_without_the_password(monkeypatch):
    monkeypatch.setattr("modeldyno.store.schema._PATIENCE_SECONDS", 0.1)
    said = refusal(lambda: open_store("postgresql+psycopg://me:secret@127.0.0.1:1/x", migrate=True, now=0.0))
    assert said.startswith("Cannot use the database postgresql+psycopg://me:***@127.0.0.1:1/x: ")
    assert "secret" not in said


def test_a_failed_migration_changes_nothing(opened, url, file, monkeypatch):
    make_older(url)
    monkeypatch.setattr("modeldyno.store.schema._upgrade", half_a_migration)
    assert "no such table: nowhere" in refusal(opened)
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT version_num FROM dyno_schema").fetchone() == ("0001",)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "half" not in names


def half_a_migration(connection):
    connection.execute(text("CREATE TABLE half (id INTEGER)"))
    connection.execute(text("INSERT INTO nowhere VALUES (1)"))


def open_at_once(url):
    """What three processes say that open a database at the same moment."""
    program = (
        "import sys; from modeldyno.store import open_store; sys.stdin.read();"
        f"store = open_store({url!r}, migrate=True, now=0.0); print(store.installation); store.close()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(3)]
    for process in processes:
        process.stdin.close()
    said = []
    for process in processes:
        said.append(process.stdout.read().strip())
        process.stdout.close()
        assert process.wait() == 0
    return said


@pytest.mark.parametrize("older", [False, True])
def test_processes_that_open_a_database_at_once_migrate_it_once(url, file, older):
    if older:
        make_older(url)
    assert len(set(open_at_once(url))) == 1
    assert len(list(file.parent.glob("dyno-*.sqlite"))) == older


@pytest.mark.postgres
def test_postgresql_is_migrated_once_checked_and_refused_alike():
    with postgres_server() as server:
        url = server.url(server.new_database())
        assert "run `dyno up` once" in refusal(lambda: open_store(url, migrate=False, now=0.0))
        assert len(set(open_at_once(url))) == 1
        store = open_store(url, migrate=False, now=0.0)
        with store._database.engine.begin() as connection:
            command.check(config_over(connection))
            connection.execute(text("UPDATE dyno_schema SET version_num = '9999'"))
        store.close()
        said = refusal(lambda: open_store(url, migrate=True, now=0.0))
        assert said == f"The database was written by a newer Dyno (schema 9999); this Dyno knows up to {NEWEST}."
