"""A load test with the SageMaker Python SDK, version 2, and what comes after: deploy a recommendation by its id,
register the model, right-size the package and deploy it. The rest of AWS's notebook
*inference-recommender-with-python-sdk*."""

import json
import tarfile
from pathlib import Path

import joblib
import numpy
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.inference_recommender.inference_recommender_mixin import ModelLatencyThreshold, Phase
from sagemaker.parameter import CategoricalParameter
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn.model import SKLearnModel
from sagemaker.sklearn.model import SKLearnPredictor as Predictor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge

INFERENCE = """
import os
import joblib

def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))
"""

role = "arn:aws:iam::000000000000:role/service-role/recommender"
session = sagemaker.Session()
client = session.sagemaker_client
rows, progression = load_diabetes(return_X_y=True)
regression = Ridge().fit(rows, progression)

joblib.dump(regression, "model.joblib")
Path("inference.py").write_text(INFERENCE)
numpy.savetxt("rows.csv", rows[:10], delimiter=",")
for archive, file in (("model.tar.gz", "model.joblib"), ("payload.tar.gz", "rows.csv")):
    with tarfile.open(archive, "w:gz") as made:
        made.add(file)
model_url = session.upload_data("model.tar.gz", key_prefix="diabetes/model")
payload_url = session.upload_data("payload.tar.gz", key_prefix="diabetes/payload")
both_ways = {"serializer": CSVSerializer(), "deserializer": JSONDeserializer()}


def a_model():
    return SKLearnModel(
        model_data=model_url,
        role=role,
        entry_point="inference.py",
        framework_version="1.2-1",
        sagemaker_session=session,
        predictor_cls=Predictor,
    )


model = a_model()
model.right_size(
    sample_payload_url=payload_url,
    supported_content_types=["text/csv"],
    framework="SAGEMAKER-SCIKIT-LEARN",
    job_duration_in_seconds=600,
    hyperparameter_ranges=[
        {
            "instance_types": CategoricalParameter(["ml.own.large"]),
            "SAGEMAKER_MODEL_SERVER_WORKERS": CategoricalParameter(["1", "2"]),
        }
    ],
    phases=[Phase(duration_in_seconds=3, initial_number_of_users=1, spawn_rate=0)],
    traffic_type="PHASES",
    max_invocations=100_000,
    model_latency_thresholds=[ModelLatencyThreshold(percentile="P95", value_in_milliseconds=5000)],
    max_tests=2,
    max_parallel_tests=1,
)
recommended = model.inference_recommendations
job = model.inference_recommender_job_results

predictor = a_model().deploy(inference_recommendation_id=recommended[0]["RecommendationId"], **both_ways)
by_id = predictor.predict(rows[:3])
deployed = client.describe_endpoint_config(
    EndpointConfigName=client.describe_endpoint(EndpointName=predictor.endpoint_name)["EndpointConfigName"]
)
environment = client.describe_model(ModelName=deployed["ProductionVariants"][0]["ModelName"])["PrimaryContainer"][
    "Environment"
]
predictor.delete_model()
predictor.delete_endpoint()

package = a_model().register(
    content_types=["text/csv"],
    response_types=["application/json"],
    inference_instances=["ml.own.large"],
    model_package_group_name="diabetes",
    approval_status="PendingManualApproval",
    domain="MACHINE_LEARNING",
    task="REGRESSION",
    sample_payload_url=payload_url,
    framework="SAGEMAKER-SCIKIT-LEARN",
    framework_version="1.2-1",
)
package.right_size(
    sample_payload_url=payload_url,
    supported_content_types=["text/csv"],
    supported_instance_types=["ml.own.large"],
    framework="SAGEMAKER-SCIKIT-LEARN",
)
package_job = package.inference_recommender_job_results
package.deploy(endpoint_name="packaged")  # on what was recommended
(package_variant,) = client.describe_endpoint_config(
    EndpointConfigName=client.describe_endpoint(EndpointName="packaged")["EndpointConfigName"]
)["ProductionVariants"]
of_package = Predictor("packaged", session, **both_ways)
packaged = of_package.predict(rows[:3])
approval = client.describe_model_package(ModelPackageName=package.model_package_arn)["ModelApprovalStatus"]
of_package.delete_model()
of_package.delete_endpoint()
client.delete_model_package(ModelPackageName=package.model_package_arn)
client.delete_model_package_group(ModelPackageGroupName="diabetes")

Path("said.json").write_text(
    json.dumps(
        {
            "job_type": job["JobType"],
            "stopping": job["StoppingConditions"],
            "workers": sorted(
                one["Value"]
                for row in recommended
                for one in row["ModelConfiguration"]["EnvironmentParameters"]
                if one["Key"] == "SAGEMAKER_MODEL_SERVER_WORKERS"
            ),
            "best": recommended[0]["ModelConfiguration"]["EnvironmentParameters"],
            "environment": environment,
            "by_id": by_id,
            "packaged": packaged,
            "measured": package_job["InputConfig"]["ModelPackageVersionArn"],
            "recommended_type": package_variant["InstanceType"],
            "package": package.model_package_arn,
            "approval": approval,
            "expected": regression.predict(rows[:3]).tolist(),
        }
    )
)
