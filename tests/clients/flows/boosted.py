"""XGBoost in script mode with the SageMaker Python SDK, version 2."""

import json
import tarfile
from pathlib import Path

import numpy
import sagemaker
import xgboost
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import CSVSerializer
from sagemaker.xgboost.model import XGBoostModel
from sklearn.datasets import load_breast_cancer

INFERENCE = """
import os
import xgboost

def model_fn(model_dir):
    model = xgboost.Booster()
    model.load_model(os.path.join(model_dir, "model.json"))
    return model
"""

role = "arn:aws:iam::000000000000:role/service-role/recommender"
session = sagemaker.Session()
rows, malignant = load_breast_cancer(return_X_y=True)
booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, xgboost.DMatrix(rows, malignant), 10)

booster.save_model("model.json")
Path("inference.py").write_text(INFERENCE)
numpy.savetxt("rows.csv", rows[:10], delimiter=",")
for archive, file in (("model.tar.gz", "model.json"), ("payload.tar.gz", "rows.csv")):
    with tarfile.open(archive, "w:gz") as made:
        made.add(file)
model = XGBoostModel(
    model_data=session.upload_data("model.tar.gz", key_prefix="cancer/model"),
    role=role,
    entry_point="inference.py",
    framework_version="3.0-5",
    sagemaker_session=session,
)
model.right_size(
    sample_payload_url=session.upload_data("payload.tar.gz", key_prefix="cancer/payload"),
    supported_content_types=["text/csv"],
    supported_instance_types=["ml.own.large"],
    framework="XGBOOST",
)
predictor = model.deploy(serializer=CSVSerializer(), deserializer=JSONDeserializer())
predicted = predictor.predict(rows[:3])
predictor.delete_model()
predictor.delete_endpoint()

Path("said.json").write_text(
    json.dumps({"predicted": predicted, "expected": booster.predict(xgboost.DMatrix(rows[:3])).tolist()})
)
