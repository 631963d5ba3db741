"""Inference experiments: the same loop over their rows. What an experiment does to its endpoint, the endpoint's own
loop carries out."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from modeldyno.domain.endpoint import Endpoint, EndpointStatus, Fleet, Rollout
from modeldyno.domain.errors import ResourceInUse, ResourceNotFound
from modeldyno.domain.experiment import Deed, Experiment, StopOrder, turn
from modeldyno.domain.rollout import change_to
from modeldyno.engine.parts import Parts


class Experiments:
    """Converges every experiment of the installation. Several workers may do so at once: each step is written only
    where the row is still as it was."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._store = parts.store

    async def reconcile(self) -> bool:
        """One step of each experiment that has not ended; whether there is one."""
        going = [one for one in await asyncio.to_thread(self._store.experiments) if not one.status.ended]
        for experiment in going:
            await asyncio.to_thread(self._step, experiment)
        return bool(going)

    def _step(self, experiment: Experiment) -> None:
        now = self._parts.clock.now()
        made = turn(experiment, self._endpoint(experiment), now)
        if made.experiment != experiment:
            if made.experiment.status.ended:
                self._set_free(experiment)

            def change(row: Experiment) -> Experiment:
                return made.experiment if row == experiment else row

            if self._store.change_experiment(experiment.region, experiment.name, change) != made.experiment:
                return  # it was changed meanwhile: the next look sees how
            if made.said:
                self._store.tell(experiment.arn, now, made.said)
        if made.deed is Deed.BEGIN:
            self._begin(made.experiment, now)
        elif made.deed is Deed.END and made.experiment.stop is not None:
            self._end(made.experiment, made.experiment.stop, now)

    def _endpoint(self, experiment: Experiment) -> Endpoint | None:
        try:
            return self._store.endpoint(experiment.region, experiment.endpoint_name)
        except ResourceNotFound:
            return None

    # Both are idempotent: after a crash between the experiment's row and them they are done again.

    def _begin(self, experiment: Experiment, now: float) -> None:
        fleet = experiment.fleet
        if experiment.former is None:
            fresh = Endpoint(
                id=f"{experiment.id}e",
                region=experiment.region,
                name=experiment.endpoint_name,
                arn=experiment.endpoint_arn,
                status=EndpointStatus.CREATING,
                fleet=Fleet(1, fleet),
                created_at=now,
                modified_at=now,
                experiment=experiment.name,
                experiment_id=experiment.id,
            )
            try:
                self._store.add_endpoint(fresh)
            except ResourceInUse:
                return  # by an earlier try
            return

        def change(endpoint: Endpoint) -> Endpoint:
            if endpoint.status.in_progress or endpoint.experiment_id is not None:
                return endpoint
            spec = fleet if fleet.capture is not None else replace(fleet, capture=endpoint.fleet.spec.capture)
            changed = change_to(endpoint, spec, Rollout(), now)
            return replace(changed, experiment=experiment.name, experiment_id=experiment.id)

        self._store.change_endpoint(experiment.region, experiment.endpoint_name, change)

    def _end(self, experiment: Experiment, order: StopOrder, now: float) -> None:
        def change(endpoint: Endpoint) -> Endpoint:
            free = replace(endpoint, experiment=None, experiment_id=None, failure_reason=None, modified_at=now)
            if endpoint.status.in_progress or endpoint.experiment_id != experiment.id:
                return endpoint
            if order.after is None:
                return replace(free, status=EndpointStatus.DELETING)
            return free if order.after == endpoint.fleet.spec else change_to(free, order.after, Rollout(), now)

        try:
            self._store.change_endpoint(experiment.region, experiment.endpoint_name, change)
        except ResourceNotFound:
            return  # it was deleted

    def _set_free(self, experiment: Experiment) -> None:
        """The endpoint of an experiment that was cancelled belongs to nobody."""

        def change(endpoint: Endpoint) -> Endpoint:
            if endpoint.experiment_id != experiment.id:
                return endpoint
            return replace(endpoint, experiment=None, experiment_id=None)

        try:
            self._store.change_endpoint(experiment.region, experiment.endpoint_name, change)
        except ResourceNotFound:
            return
