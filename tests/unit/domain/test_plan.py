"""Which trials a job becomes."""

from dataclasses import replace

import pytest

from modeldyno.domain.catalog import Catalogue, InstanceType
from modeldyno.domain.host import Cgroup, Host
from modeldyno.domain.job import Candidate, ExistingEndpoint, JobSpec, JobStatus, JobType, Specification
from modeldyno.domain.model import ModelSource
from modeldyno.domain.plan import Plan, plan
from modeldyno.domain.search import next_trial
from modeldyno.domain.serverless import Serverless, serverless_types
from modeldyno.domain.trial import Trial, TrialSpec, TrialStatus
from tests.unit.domain.builders import a_job, a_spec, a_trial, a_type

HOST = Host("h", (0, 1), 16_000, "x86_64", Cgroup.V1, root=True)
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"


def planned(spec: JobSpec, *kinds: InstanceType) -> Plan:
    return plan(spec, Catalogue({kind.name: kind for kind in kinds}), HOST, ("acme/server:1",), "job", "id")


def told(result: Plan) -> list[tuple[str, dict[str, str]]]:
    return [(trial.instance_type.name, trial.tuned) for trial in result.trials]


def test_a_default_job_tries_workers_and_threads_of_every_type_before_a_second_setting_of_any() -> None:
    result = planned(a_spec(supported_instance_types=("two", "one")), a_type("one", 1), a_type("two", 2))
    assert told(result) == [
        ("two", {WORKERS: "2", "OMP_NUM_THREADS": "1"}),
        ("one", {WORKERS: "1", "OMP_NUM_THREADS": "1"}),
        ("two", {WORKERS: "1", "OMP_NUM_THREADS": "2"}),
        ("one", {WORKERS: "2", "OMP_NUM_THREADS": "1"}),
    ]
    assert [trial.workers for trial in result.trials] == [2, 1, 1, 2]


def test_without_types_the_host_decides_cheapest_first_and_says_what_it_left_out() -> None:
    kinds = [a_type("dear", 1, 0.5, 2048), a_type("cheap", 1, 0.1), a_type("same", 1, 0.2), a_type("huge", 64, 0.01)]
    result = planned(a_spec(environment={WORKERS: "1"}), *kinds)
    assert [trial.instance_type.name for trial in result.trials] == ["cheap", "dear"]
    assert any("1 of the catalogue's 4 instance types were left out" in note for note in result.notes)
    assert any(note.startswith("same was not tried: it has the shape of cheap") for note in result.notes)


def test_types_of_one_shape_are_left_out_in_one_line() -> None:
    kinds = [a_type("cheap", 1, 0.1), a_type("same", 1, 0.2), a_type("again", 1, 0.3)]
    result = planned(a_spec(environment={WORKERS: "1"}), *kinds)
    assert "same, again were not tried: they have the shape of cheap, which costs no more." in result.notes


def test_a_named_type_that_the_host_cannot_be_stays_in_the_plan_to_fail_by_name() -> None:
    result = planned(a_spec(supported_instance_types=("huge",), environment={WORKERS: "1"}), a_type("huge", 64))
    assert told(result) == [("huge", {})]


def test_workers_that_the_user_has_set_are_not_tuned() -> None:
    result = planned(a_spec(supported_instance_types=("two",), environment={WORKERS: "3"}), a_type("two", 2))
    assert [(trial.tuned, trial.workers) for trial in result.trials] == [({}, 3)]


@pytest.mark.parametrize("workers", ["\u00b2", "\u0663", "-1", "9" * 1024, "", "two"])
def test_workers_that_are_no_number_are_left_to_the_trial(workers: str) -> None:
    result = planned(a_spec(supported_instance_types=("two",), environment={WORKERS: workers}), a_type("two", 2))
    assert [(trial.environment[WORKERS], trial.workers) for trial in result.trials] == [(workers, None)]


def test_an_own_server_is_tried_once_a_type_and_its_workers_are_not_guessed() -> None:
    result = planned(a_spec(image="acme/server:1", supported_instance_types=("one",)), a_type("one"))
    assert [(trial.tuned, trial.workers) for trial in result.trials] == [({}, None)]


def test_an_advanced_job_is_the_product_of_its_configurations_and_ranges() -> None:
    candidates = (Candidate("one", {"A": ("1", "2"), "B": ("x", "y")}), Candidate("two"))
    result = planned(a_spec(JobType.ADVANCED, candidates=candidates), a_type("one"), a_type("two", 2))
    assert told(result) == [
        ("one", {"A": "1", "B": "x"}),
        ("one", {"A": "1", "B": "y"}),
        ("one", {"A": "2", "B": "x"}),
        ("one", {"A": "2", "B": "y"}),
        ("two", {}),
    ]


def test_a_limit_of_tests_is_told_with_what_it_cut_off() -> None:
    candidates = (Candidate("one", {"A": ("1", "2", "3")}),)
    result = planned(a_spec(JobType.ADVANCED, candidates=candidates, max_tests=2), a_type("one"))
    assert len(result.trials) <= 2
    assert (result.tests, result.configurations) == (2, 3)
    assert result.notes == ("The job is limited to 2 tests: of 3 configurations, 2 are chosen as the trials go.",)


def test_a_start_covers_every_type_and_leaves_tests_to_choose() -> None:
    kinds = [a_type(f"t{vcpus}", vcpus, 0.1 * vcpus) for vcpus in (1, 2, 4)]
    candidates = tuple(Candidate(kind.name, {WORKERS: ("1", "2", "4"), "T": ("1", "2")}) for kind in kinds)
    result = planned(a_spec(JobType.ADVANCED, candidates=candidates, max_tests=6), *kinds)
    assert {trial.instance_type.name for trial in result.trials} == {"t1", "t2", "t4"}
    assert [trial.index for trial in result.trials] == list(range(len(result.trials)))
    assert len(result.trials) < result.tests == 6


def test_what_fits_into_the_limit_is_planned_whole() -> None:
    candidates = (Candidate("one", {"A": ("1", "2", "3")}),)
    result = planned(a_spec(JobType.ADVANCED, candidates=candidates, max_tests=3), a_type("one"))
    assert (len(result.trials), result.tests, result.configurations, result.notes) == (3, 3, 3, ())


def test_tests_go_to_types_with_a_price_first() -> None:
    candidates = (Candidate("free", {"A": ("1", "2")}), Candidate("one", {"A": ("1", "2", "3")}))
    kinds = a_type("free", usd=None), a_type("one")
    whole = planned(a_spec(JobType.ADVANCED, candidates=candidates, max_tests=4), *kinds)
    assert [name for name, _ in told(whole)] == ["one", "one", "one", "free"]
    (note,) = whole.notes
    assert note.startswith("free with A=2 was not tried: the job's tests go to types with a price")
    chosen = planned(a_spec(JobType.ADVANCED, candidates=candidates, max_tests=2), *kinds)
    assert {name for name, _ in told(chosen)} == {"one"}
    assert any(note.startswith("free was not tried") for note in chosen.notes)


def test_a_host_with_more_types_than_tests_tries_the_cheapest_and_says_which_it_left_out() -> None:
    kinds = [a_type(f"t{number}", 1, 0.1 * number, 1024 * number) for number in range(1, 7)]
    result = planned(a_spec(max_tests=4), *kinds)
    assert {name for name, _ in told(result)} == {"t1", "t2", "t3", "t4"}
    assert "t5 was not tried: the job is limited to 4 tests, of 4 types, cheapest first." in result.notes


def test_an_endpoint_that_is_there_comes_first_and_takes_one_of_the_tests() -> None:
    kinds = [a_type("one", 1), a_type("two", 2)]
    existing = ExistingEndpoint("live", "e1", "main", kinds[1], 2, {"A": "b"})
    spec = a_spec(supported_instance_types=("one", "two"), max_tests=4, endpoint=existing)
    result = planned(spec, *kinds)
    first, *rest = result.trials
    assert (first.index, first.endpoint_name, first.existing, first.instance_type) == (0, "live", "e1", kinds[1])
    assert first.environment == {"A": "b"}
    assert [trial.existing for trial in rest] == [None] * len(rest)
    assert (result.tests, result.configurations) == (4, 4)
    assert [trial.index for trial in result.trials] == list(range(len(result.trials)))


def test_the_search_beside_an_endpoint_spends_what_the_endpoint_leaves() -> None:
    kinds = [a_type("one", 1), a_type("two", 2)]
    existing = ExistingEndpoint("live", "e1", "main", kinds[0])
    spec = a_spec(supported_instance_types=("one", "two"), max_tests=4, endpoint=existing)
    job = a_job(spec, status=JobStatus.IN_PROGRESS)
    done = [ended(trial, 6000.0 / (1 + trial.index)) for trial in planned(spec, *kinds).trials]
    assert len(done) == 3  # the endpoint, and each type once
    chosen = next_trial(job, done, Catalogue({kind.name: kind for kind in kinds}), ())
    assert chosen is not None
    assert (chosen.index, chosen.existing) == (3, None)
    done.append(ended(chosen, 1000.0))
    assert len({(trial.spec.instance_type.name, *sorted(trial.spec.tuned.items())) for trial in done[1:]}) == 3
    assert next_trial(job, done, Catalogue({kind.name: kind for kind in kinds}), ()) is None


def ended(spec: TrialSpec, per_minute: float) -> Trial:
    return replace(a_trial(spec.index, spec.instance_type, per_minute), spec=spec, status=TrialStatus.COMPLETED)


def test_specifications_are_configurations_of_their_own() -> None:
    small = ModelSource("acme/server:1", "s3://b/small.tar.gz", {"SIZE": "small"})
    spec = a_spec(
        JobType.ADVANCED,
        candidates=(Candidate("one"), Candidate("one", {"A": ("1",)}, "small")),
        specifications={"small": Specification(small)},
    )
    own, additional = planned(spec, a_type("one")).trials
    assert (own.specification, additional.specification) == (None, "small")
    assert additional.environment == {"SIZE": "small", "A": "1"}
    assert (own.workers, additional.workers) == (1, None)  # of Dyno's own runtime, and of another


def test_endpoint_names_differ_and_carry_the_job() -> None:
    result = planned(a_spec(supported_instance_types=("two",)), a_type("two", 2))
    names = [trial.endpoint_name for trial in result.trials]
    assert len(set(names)) == len(names)
    assert all(name.startswith("sm-epc-job-") for name in names)


def test_a_serverless_default_job_tries_each_size_that_the_host_can_be_with_one_worker() -> None:
    sizes = serverless_types(1769, {})
    result = plan(a_spec(serverless=True), Catalogue({}, sizes), HOST, (), "job", "id")
    names = [f"serverless {size} MB" for size in (1024, 2048, 3072)]
    assert told(result) == [(name, {WORKERS: "1"}) for name in names]
    assert [trial.serverless for trial in result.trials] == [Serverless(size, 1) for size in (1024, 2048, 3072)]
    why = "This host cannot be serverless 4096 MB: it has 2.31543 vCPUs, the host has 2 cores."
    assert f"serverless 4096 MB was not tried: {why}" in result.notes


def test_serverless_candidates_differ_by_their_concurrency() -> None:
    sizes = serverless_types(1769, {})
    candidates = tuple(Candidate("serverless 1024 MB", serverless=Serverless(1024, most)) for most in (1, 2))
    spec = a_spec(job_type=JobType.ADVANCED, candidates=candidates, environment={WORKERS: "4"})
    result = plan(spec, Catalogue({}, sizes), HOST, (), "job", "id")
    assert [trial.title for trial in result.trials] == ["serverless 1024 MB", "serverless 1024 MB x 2"]
    assert [trial.workers for trial in result.trials] == [4, 4]
