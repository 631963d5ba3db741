"""A scikit-learn regression with the SageMaker Python SDK, version 3: ModelBuilder, right-size, deploy a
recommendation; and a load test with the resources of sagemaker-core."""

import json
import tarfile
from pathlib import Path

import joblib
import numpy
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import EndpointConfig, InferenceRecommendationsJob
from sagemaker.core.shapes import (
    EndpointInputConfiguration,
    Phase,
    RecommendationJobContainerConfig,
    RecommendationJobInputConfig,
    RecommendationJobPayloadConfig,
    TrafficPattern,
)
from sagemaker.serve.model_builder import ModelBuilder
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
INFERENCE = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""

role = "arn:aws:iam::000000000000:role/service-role/recommender"
session = Session()
rows, progression = load_diabetes(return_X_y=True)
regression = Ridge().fit(rows, progression)

joblib.dump(regression, "model.joblib")
Path("code").mkdir()
Path("code/inference.py").write_text(INFERENCE)
numpy.savetxt("rows.csv", rows[:10], delimiter=",")
for archive, files in (("model.tar.gz", ("model.joblib", "code")), ("payload.tar.gz", ("rows.csv",))):
    with tarfile.open(archive, "w:gz") as made:
        for file in files:
            made.add(file)
model_url = session.upload_data("model.tar.gz", key_prefix="diabetes/model")
payload_url = session.upload_data("payload.tar.gz", key_prefix="diabetes/payload")

builder = ModelBuilder(s3_model_data_url=model_url, image_uri=IMAGE, role_arn=role, sagemaker_session=session)
model = builder.build(model_name="built")
builder.right_size(
    sample_payload_url=payload_url,
    supported_content_types=["text/csv"],
    supported_instance_types=["ml.own.large"],
)
recommended = builder.inference_recommendations
builder.instance_type = None  # the SDK's own default would go before the recommendation
endpoint = builder.deploy(
    endpoint_name="built",
    inference_recommendation_id=recommended[0]["RecommendationId"],
    initial_instance_count=None,
)
config = EndpointConfig.get(endpoint_config_name=endpoint.endpoint_config_name)
body = "\n".join(",".join(map(str, row)) for row in rows[:3].tolist())
answer = endpoint.invoke(body=body, content_type="text/csv", accept="application/json")
predicted = json.loads(answer.body.read())
endpoint.delete()
config.delete()

job = InferenceRecommendationsJob.create(
    job_name="core",
    job_type="Advanced",
    role_arn=role,
    job_description="with the resources",
    input_config=RecommendationJobInputConfig(
        model_name="built",
        container_config=RecommendationJobContainerConfig(
            domain="MACHINE_LEARNING",
            task="OTHER",
            framework="SAGEMAKER-SCIKIT-LEARN",
            payload_config=RecommendationJobPayloadConfig(
                sample_payload_url=payload_url, supported_content_types=["text/csv"]
            ),
        ),
        endpoint_configurations=[EndpointInputConfiguration(instance_type="ml.own.large")],
        traffic_pattern=TrafficPattern(
            traffic_type="PHASES", phases=[Phase(initial_number_of_users=1, spawn_rate=0, duration_in_seconds=3)]
        ),
    ),
)
job.wait(poll=1)
jobs = [one.job_name for one in InferenceRecommendationsJob.get_all(name_contains="core")]
steps = [step.status for step in job.get_all_steps()]
model.delete()

Path("said.json").write_text(
    json.dumps(
        {
            "recommended": [row["RecommendationId"] for row in recommended],
            "instance_type": config.production_variants[0].instance_type,
            "predicted": predicted,
            "expected": regression.predict(rows[:3]).tolist(),
            "status": job.status,
            "jobs": jobs,
            "steps": steps,
        }
    )
)
