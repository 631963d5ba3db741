"""An experiment's life beside its endpoint."""

from __future__ import annotations

from dataclasses import replace

from modeldyno.domain.endpoint import Endpoint, EndpointStatus
from modeldyno.domain.experiment import Deed, ExperimentStatus, StopOrder, reverted, turn, with_percent
from tests.unit.domain.hosted import an_endpoint, an_experiment, fleet_spec, variant


def serving(**changes: object) -> Endpoint:
    return replace(an_endpoint(status=EndpointStatus.IN_SERVICE), **changes)  # type: ignore[arg-type]


def test_one_that_starts_at_once_is_creating_until_it_runs() -> None:
    begun = turn(an_experiment(), serving(), 100.0)
    assert begun.deed is Deed.BEGIN
    assert begun.experiment.status is ExperimentStatus.CREATING
    assert begun.experiment.former == fleet_spec()
    waiting = turn(begun.experiment, serving(status=EndpointStatus.UPDATING, experiment_id="x1"), 101.0)
    assert waiting.experiment == begun.experiment
    running = turn(begun.experiment, serving(experiment_id="x1"), 102.0)
    assert running.experiment.status is ExperimentStatus.RUNNING


def test_one_that_starts_later_is_created_and_starts_by_its_schedule() -> None:
    created = turn(an_experiment(starts_at=500.0), serving(), 100.0).experiment
    assert created.status is ExperimentStatus.CREATED
    assert turn(created, serving(), 499.0).experiment == created
    assert turn(created, serving(), 500.0).experiment.status is ExperimentStatus.STARTING


def test_an_engine_that_ended_between_the_row_and_the_endpoint_does_it_again() -> None:
    begun = turn(an_experiment(), serving(), 100.0).experiment
    assert turn(begun, serving(), 101.0).deed is Deed.BEGIN
    stopping = an_experiment(
        status=ExperimentStatus.STOPPING,
        stop=StopOrder(ExperimentStatus.COMPLETED, fleet_spec(), applied=True),
    )
    assert turn(stopping, serving(experiment_id="x1"), 101.0).deed is Deed.END


def test_a_shadow_that_cannot_start_cancels_it_and_the_endpoint_goes_back() -> None:
    begun = turn(an_experiment(), serving(), 100.0).experiment
    back = turn(begun, serving(experiment_id="x1", failure_reason="The shadow could not be started."), 102.0).experiment
    assert back.status is ExperimentStatus.STOPPING
    assert back.stop is not None
    assert back.stop.after == fleet_spec()
    ending = turn(back, serving(experiment_id="x1"), 103.0)
    assert ending.deed is Deed.END
    done = turn(ending.experiment, serving(), 104.0).experiment
    assert done.status is ExperimentStatus.CANCELLED
    assert done.status_reason == "The shadow could not be started."


def test_its_end_completes_it_and_the_endpoint_goes_back() -> None:
    running = an_experiment(status=ExperimentStatus.RUNNING, applied=True, former=fleet_spec())
    assert turn(running, serving(experiment_id="x1"), 999.0).experiment == running
    stopping = turn(running, serving(experiment_id="x1"), 1000.0).experiment
    assert stopping.stop is not None
    assert stopping.stop.after == fleet_spec()
    done = turn(turn(stopping, serving(experiment_id="x1"), 1001.0).experiment, serving(), 1002.0).experiment
    assert done.status is ExperimentStatus.COMPLETED
    assert done.completed_at == 1002.0


def test_without_an_endpoint_before_production_stays_alone() -> None:
    experiment = an_experiment()
    assert reverted(experiment).shadows == ()
    assert reverted(experiment).variants == experiment.fleet.variants


def test_an_endpoint_that_is_another_experiments_cancels_it() -> None:
    done = turn(an_experiment(), serving(experiment="other", experiment_id="o1"), 100.0).experiment
    assert done.status is ExperimentStatus.CANCELLED
    assert "other" in (done.status_reason or "")


def test_the_percentage_is_the_shadows_share_of_productions_weight() -> None:
    spec = with_percent(fleet_spec(variant(weight=2.0), shadows=(variant("shadow"),)), 25)
    assert spec.shadows[0].weight == 0.5


def test_an_endpoint_that_somebody_made_meanwhile_is_taken_as_it_is() -> None:
    begun = an_experiment(status=ExperimentStatus.STARTING, applied=True)
    again = turn(begun, serving(), 100.0).experiment
    assert not again.applied
    taken = turn(again, serving(), 100.0)
    assert taken.deed is Deed.BEGIN
    assert taken.experiment.former == serving().fleet.spec


def test_an_experiment_does_not_take_what_another_one_has_taken_first() -> None:
    begun = an_experiment(status=ExperimentStatus.STARTING, applied=True, former=fleet_spec())
    done = turn(begun, serving(experiment="other", experiment_id="o1"), 100.0).experiment
    assert done.status is ExperimentStatus.CANCELLED
