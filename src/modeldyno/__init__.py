"""Dyno: measures model servers, recommends what to run, and tests shadows. Speaks the SageMaker API."""

__version__ = "0.1.0"
