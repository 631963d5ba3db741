"""DescribeModel's DeploymentRecommendation: from what jobs of this installation have measured, never by a guess."""

from __future__ import annotations

from collections.abc import Iterator

from modeldyno.domain.errors import RequestError
from modeldyno.domain.job import Job, JobStatus
from modeldyno.domain.names import recommendation_id
from modeldyno.domain.recommend import Recommendation, deployments
from modeldyno.domain.resource import Query, Resource
from modeldyno.domain.trial import Trial
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape
from modeldyno.operations.sources import model_source, source_of_model

_MOST = 3
"""**Source:** botocore shape RealTimeInferenceRecommendations."""
_LATEST_JOBS = 20  # chosen: more than fill three rows in any use, and no history makes Describe slow


def deployment_recommendation(context: Context, model: Resource) -> Shape:
    """Up to three configurations of the latest completed jobs that measured the model's image, data and environment.

    Assumption A-0105.
    """
    try:
        key = model_source(context, source_of_model(context, model), model.name, None).key
    except RequestError:  # its package is gone, or nothing here runs it any more
        return {"RecommendationStatus": "NOT_APPLICABLE"}
    rows = deployments(_measured(context, key), _MOST)
    if not rows:
        return {"RecommendationStatus": "NOT_APPLICABLE"}
    return {
        "RecommendationStatus": "COMPLETED",
        "RealTimeInferenceRecommendations": [_row(model.name, row) for row in rows],
    }


def _measured(context: Context, key: str) -> Iterator[tuple[Job, tuple[Trial, ...]]]:
    """The latest jobs first, with the trials of the model itself."""
    equals = {"status": str(JobStatus.COMPLETED), "model_key": key}
    for job in context.store.find_jobs(Query(context.region, equals=equals, limit=_LATEST_JOBS)).items:
        yield job, tuple(trial for trial in context.store.trials(job.id) if trial.spec.compiled is None)


def _row(model_name: str, row: Recommendation) -> Shape:
    return {
        "RecommendationId": recommendation_id(model_name, row.trial.id),
        "InstanceType": row.trial.spec.instance_type.name,
        "Environment": row.environment,
    }
