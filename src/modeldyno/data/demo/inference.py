"""Serves the recogniser of handwritten digits: a CSV row of 64 pixels in, the probability of each digit out."""

# mypy: ignore-errors
from pathlib import Path

import joblib


def model_fn(model_dir):
    """Load the model, once a worker."""
    return joblib.load(Path(model_dir) / "model.joblib")


def predict_fn(data, model):
    """The probabilities of the ten digits for each row."""
    return model.predict_proba(data.reshape(-1, 64))
