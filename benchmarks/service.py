"""How long `dyno up` takes to be ready, and how much memory the idle service holds."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bytes_of_botocore import client
from benchmarks.services import cpu_seconds, dyno_up, processes_of
from benchmarks.stored_jobs import store_jobs
from benchmarks.summary import medians, repeated

_SETTLE_SECONDS = 1.0


def start(quick: bool) -> dict[str, Any]:
    """From the start of the command to its line ``ready``. One start before the first counted one sees to it that the
    files are in the page cache and the modules compiled. `cpu_seconds`: of all three processes until then."""
    with tempfile.TemporaryDirectory() as folder:
        existing = Path(folder, "existing")
        store_jobs(existing, 100)
        fresh = (Path(folder, f"fresh-{number}") for number in range(1000))
        _seconds(next(fresh))
        measures = {
            "new_data_directory": lambda: _seconds(next(fresh)),
            "existing_data_directory": lambda: _seconds(existing),
        }
        return {"rows": repeated(measures, 3 if quick else 7)}


def _seconds(data_dir: Path) -> dict[str, float]:
    with dyno_up(data_dir) as service:
        return {
            "seconds_to_ready": round(service.seconds_to_ready, 3),
            "cpu_seconds": round(cpu_seconds(service.process_id), 2),
        }


def memory(quick: bool) -> dict[str, Any]:
    """Proportional set size of supervisor, front and worker: what is shared is counted once between those who share it.

    `idle`: after the start; `after_calls`: idle again after a hundred calls of several kinds.
    """
    rows: dict[str, list[dict[str, float]]] = {"idle": [], "after_calls": []}
    with tempfile.TemporaryDirectory() as folder:
        store_jobs(Path(folder), 100)
        _seconds(Path(folder))  # a process that compiles modules holds more
        for _ in range(1 if quick else 3):
            with dyno_up(Path(folder)) as service:
                time.sleep(_SETTLE_SECONDS)
                rows["idle"].append(_mib(service.process_id))
                _call(service.port)
                time.sleep(_SETTLE_SECONDS)
                rows["after_calls"].append(_mib(service.process_id))
    return {"rows": medians(rows)}


def _call(port: int) -> None:
    sagemaker = client(port)
    for _ in range(20):
        found = sagemaker.list_inference_recommendations_jobs(MaxResults=100)["InferenceRecommendationsJobs"]
        name = found[0]["JobName"]
        sagemaker.describe_inference_recommendations_job(JobName=name)
        sagemaker.list_inference_recommendations_job_steps(JobName=name)
        sagemaker.list_models()
        sagemaker.describe_model(ModelName="iris")


def _mib(process_id: int) -> dict[str, float]:
    """MiB of each process and together. ``together_private`` leaves out all that is shared with anybody."""
    found = {name: _rollup(process) for name, process in processes_of(process_id).items()}
    return {
        **{f"{name}_pss_mib": rollup["Pss"] for name, rollup in found.items()},
        "together_pss_mib": round(sum(rollup["Pss"] for rollup in found.values()), 1),
        "together_private_mib": round(
            sum(rollup["Private_Clean"] + rollup["Private_Dirty"] for rollup in found.values()), 1
        ),
    }


def _rollup(process_id: int) -> dict[str, float]:
    text = Path(f"/proc/{process_id}/smaps_rollup").read_text()
    return {name: round(int(kib) / 1024, 1) for name, kib in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
