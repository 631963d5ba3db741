"""A scikit-learn regression with the SageMaker Python SDK, version 2: right-size it, deploy what is recommended,
predict, clean up. In the shape of AWS's notebook *inference-recommender-with-python-sdk*; nothing in it is for Dyno."""

import json
import tarfile
from pathlib import Path

import joblib
import numpy
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn.model import SKLearnModel
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

model = SKLearnModel(
    model_data=model_url,
    role=role,
    entry_point="inference.py",
    framework_version="1.2-1",
    sagemaker_session=session,
)
model.right_size(
    sample_payload_url=payload_url,
    supported_content_types=["text/csv"],
    supported_instance_types=["ml.own.large"],
    framework="SAGEMAKER-SCIKIT-LEARN",
)
recommended = model.inference_recommendations

predictor = model.deploy(serializer=CSVSerializer(), deserializer=JSONDeserializer())
served = session.sagemaker_client.describe_endpoint(EndpointName=predictor.endpoint_name)
config = session.sagemaker_client.describe_endpoint_config(EndpointConfigName=served["EndpointConfigName"])
predicted = predictor.predict(rows[:3])
predictor.delete_model()
predictor.delete_endpoint()

Path("said.json").write_text(
    json.dumps(
        {
            "recommended": [row["ModelConfiguration"]["EnvironmentParameters"] for row in recommended],
            "endpoint": predictor.endpoint_name,
            "model": config["ProductionVariants"][0]["ModelName"],
            "instance_type": config["ProductionVariants"][0]["InstanceType"],
            "predicted": predicted,
            "expected": regression.predict(rows[:3]).tolist(),
        }
    )
)
