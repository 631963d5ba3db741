"""A PyTorch model with a handler of its own, as Hugging Face's notebooks have it, with the SageMaker Python SDK,
version 2. The weights are written with NumPy, so that torch is only where the model is served."""

import json
import tarfile
from pathlib import Path

import numpy
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch.model import PyTorchModel
from sagemaker.serializers import JSONSerializer

INFERENCE = """
import json
import os

import numpy
import torch

LABELS = ("NEGATIVE", "POSITIVE")

def model_fn(model_dir):
    saved = numpy.load(os.path.join(model_dir, "weights.npz"))
    layer = torch.nn.Linear(4, 2)
    layer.load_state_dict({name: torch.from_numpy(saved[name]) for name in saved.files})
    return layer.eval()

def input_fn(data, content_type):
    return torch.tensor(json.loads(data)["inputs"], dtype=torch.float32)

def predict_fn(inputs, model):
    with torch.no_grad():
        scores, places = torch.softmax(model(inputs), dim=1).max(dim=1)
    return [{"label": LABELS[place], "score": score} for place, score in zip(places.tolist(), scores.tolist())]

def output_fn(prediction, accept):
    return json.dumps(prediction), accept
"""

role = "arn:aws:iam::000000000000:role/service-role/recommender"
session = sagemaker.Session()
weight = numpy.array([[1, -1, 0, 0], [-1, 1, 0, 0]], dtype=numpy.float32)
numpy.savez("weights.npz", weight=weight, bias=numpy.zeros(2, dtype=numpy.float32))
Path("inference.py").write_text(INFERENCE)
Path("request.json").write_text(json.dumps({"inputs": [[1, 0, 0, 0], [0, 3, 0, 0]]}))
for archive, file in (("model.tar.gz", "weights.npz"), ("payload.tar.gz", "request.json")):
    with tarfile.open(archive, "w:gz") as made:
        made.add(file)
model = PyTorchModel(
    model_data=session.upload_data("model.tar.gz", key_prefix="sentiment/model"),
    role=role,
    entry_point="inference.py",
    framework_version="2.6.0",
    py_version="py312",
    # right_size() asks for the image or a type, to tell CPU from GPU
    image_uri=sagemaker.image_uris.retrieve(
        "pytorch", "us-east-1", "2.6.0", py_version="py312", image_scope="inference", instance_type="ml.c5.large"
    ),
    sagemaker_session=session,
)
model.right_size(
    sample_payload_url=session.upload_data("payload.tar.gz", key_prefix="sentiment/payload"),
    supported_content_types=["application/json"],
    supported_instance_types=["ml.own.large"],
    framework="PYTORCH",
)
predictor = model.deploy(serializer=JSONSerializer(), deserializer=JSONDeserializer())
predicted = predictor.predict({"inputs": [[1, 0, 0, 0], [0, 3, 0, 0]]})
predictor.delete_model()
predictor.delete_endpoint()

Path("said.json").write_text(json.dumps({"predicted": predicted}))
