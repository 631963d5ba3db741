"""The model registry with the SageMaker Python SDK, version 3: register a model, approve it, measure the package, and
make a model of it."""

import json
import tarfile
from pathlib import Path

import joblib
import numpy
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.resources import InferenceRecommendationsJob, Model, ModelPackage, ModelPackageGroup
from sagemaker.core.shapes import (
    ContainerDefinition,
    RecommendationJobContainerConfig,
    RecommendationJobInputConfig,
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
joblib.dump(Ridge().fit(rows, progression), "model.joblib")
Path("code").mkdir()
Path("code/inference.py").write_text(INFERENCE)
numpy.savetxt("rows.csv", rows[:10], delimiter=",")
for archive, files in (("model.tar.gz", ("model.joblib", "code")), ("payload.tar.gz", ("rows.csv",))):
    with tarfile.open(archive, "w:gz") as made:
        for file in files:
            made.add(file)

builder = ModelBuilder(
    s3_model_data_url=session.upload_data("model.tar.gz", key_prefix="registry/model"),
    image_uri=IMAGE,
    role_arn=role,
    sagemaker_session=session,
)
built = builder.build(model_name="registered")
arn = builder.register(
    model_package_group_name="registry",
    content_types=["text/csv"],
    response_types=["application/json"],
    inference_instances=["ml.own.large"],
    transform_instances=["ml.own.large"],
    approval_status="PendingManualApproval",
    description="of the third version",
    customer_metadata_properties={"team": "risk"},
    domain="MACHINE_LEARNING",
    task="REGRESSION",
    sample_payload_url=session.upload_data("payload.tar.gz", key_prefix="registry/payload"),
)
package = ModelPackage.get(model_package_name=arn)
before = package.model_approval_status
package.update(model_approval_status="Approved", approval_description="looked at")
package.refresh()
package.wait_for_status("Completed")
listed = [one.model_package_arn for one in ModelPackage.get_all(model_package_group_name="registry")]

job = InferenceRecommendationsJob.create(
    job_name="registry",
    job_type="Default",
    role_arn=role,
    input_config=RecommendationJobInputConfig(
        model_package_version_arn=arn,
        container_config=RecommendationJobContainerConfig(framework="SAGEMAKER-SCIKIT-LEARN"),
    ),
)
job.wait(poll=1)
of_package = Model.create(
    model_name="of-package",
    primary_container=ContainerDefinition(model_package_name=arn),
    execution_role_arn=role,
)
for model in (of_package, built):
    model.delete()
session.sagemaker_client.delete_model_package(ModelPackageName=arn)  # the SDK's own delete() knows no versions
ModelPackageGroup.get(model_package_group_name="registry").delete()

Path("said.json").write_text(
    json.dumps(
        {
            "approval": [before, package.model_approval_status, package.approval_description],
            "metadata": package.customer_metadata_properties,
            "listed": listed,
            "package": arn,
            "status": job.status,
            "types": sorted({row.endpoint_configuration.instance_type for row in job.inference_recommendations}),
        }
    )
)
