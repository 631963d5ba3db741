"""How long does a whole Default job take, and is its winner the cheapest? Three types, three settings, a real model.

The model is the demonstration's random forest, served by script mode. The job is `dyno recommend --json`, from its
start to its answer. The truth is a fine stair: each configuration is deployed and loaded with 1, 2, 3, ... users, and
its cost is that at the best step. That is done in several passes over all configurations, and a step counts with the
median of its passes: a virtual machine is faster and slower by the minute, and configurations that were measured one
after the other would be compared in unlike hours. `python -m benchmarks.default_job [--runs N] [--resume FILE]` prints
JSON; with a file, jobs and stairs that it holds are not repeated. Takes half an hour.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.summary import machine
from modeldyno.app.compose import Dyno, build_environment, open_dyno
from modeldyno.cli.demonstration import FRAMEWORK_VERSION, TYPES
from modeldyno.cli.packing import pack_model, pack_payload
from modeldyno.cli.recommending import carried_out
from modeldyno.cli.request import role_arn
from modeldyno.domain.cost import cost_per_inference_usd
from modeldyno.domain.images import Framework
from modeldyno.settings import Settings, read_settings

WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
REGION = "us-east-1"
MOST_SECONDS = 300
NEAR = 0.03
MUST = {
    "seconds": f"at most {MOST_SECONDS}",
    "winner_over_best": f"at most {NEAR}: the winner's cost at its own best step, over that of the cheapest",
    "stated_over_best": f"within {NEAR} of 0: the cost that the job states for its winner, over that of the cheapest",
}


@dataclass(frozen=True)
class Plan:
    """What is measured: the grid, how fine and long the stair is, and how often it is gone."""

    types: tuple[str, ...]
    workers: tuple[str, ...]
    users: int
    seconds_a_step: int
    passes: int

    @property
    def grid(self) -> list[tuple[str, str]]:
        """The configurations: (type, workers)."""
        return list(itertools.product(self.types, self.workers))


WHOLE = Plan(TYPES, ("1", "2", "3"), 6, 5, 4)
QUICK = Plan(TYPES[1:], ("1", "2"), 3, 4, 1)


def prepared(place: Path) -> Settings:
    """The trained model, its payload and the types under `place`, made once."""
    place.mkdir(parents=True, exist_ok=True)
    with as_file(files("modeldyno") / "data" / "demo") as given:
        shutil.copy(given / "dyno.toml", place / "dyno.toml")
        settings = msgspec.structs.replace(
            read_settings(place / "dyno.toml"), data_dir=str(place / "data"), measurement=Settings().measurement
        )
        python = build_environment(settings, Framework.SCIKIT_LEARN, FRAMEWORK_VERSION)
        if not (place / "model" / "code").is_dir():
            subprocess.run([python, "-I", given / "train.py", place], check=True, stdout=subprocess.DEVNULL)
            (place / "model" / "code").mkdir()
            shutil.copy(given / "inference.py", place / "model" / "code" / "inference.py")
    types = (place / "dyno.toml").read_text().partition("\n# Short trials")[0]
    (place / "dyno.toml").write_text(types + "\n")  # trials are as long as they are by default
    return settings


def whole_job(place: Path, plan: Plan) -> dict[str, Any]:
    """One Default job; its seconds, and its winner."""
    dyno = [str(Path(sys.executable).with_name("dyno")), "recommend", str(place / "model")]
    dyno += ["--payload", str(place / "payload"), "--content-type", "text/csv", "--json"]
    dyno += ["--framework", "scikit-learn", "--framework-version", FRAMEWORK_VERSION]
    dyno += ["--instance-types", ",".join(plan.types), "--env", f"{WORKERS}={','.join(plan.workers)}"]
    dyno += ["--config", str(place / "dyno.toml"), "--data-dir", str(place / "data")]
    began = time.monotonic()
    run = subprocess.run(dyno, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if run.returncode != 0:
        raise RuntimeError(f"dyno recommend ended with status {run.returncode}: {run.stderr[-2000:]}")
    result = json.loads(run.stdout)
    best, trials = result["recommendations"][0], result["trials"]
    return {
        "seconds": seconds,
        "winner": [best["instance_type"], trials[best["trial_index"]]["tuned"][WORKERS]],
        "usd_per_inference": best["cost_per_inference_usd"],
        "trials": len(trials),
        "given_up": sum("cannot_win" in trial["flags"] for trial in trials),
        "load_seconds": sum(trial["figures"]["total_seconds"] for trial in trials if trial["figures"]),
    }


def stair(settings: Settings, place: Path, plan: Plan, kind: str, workers: str) -> dict[str, Any]:
    """One configuration at each number of users, as an Advanced job."""
    dyno = open_dyno(settings)
    try:
        name = f"stair-{dyno.entropy.token(6)}"
        _submit(dyno, place, plan, name, kind, workers)
        if carried_out(dyno, REGION, name) != 0:
            raise RuntimeError(f"the stair {name} did not complete: {dyno.store.job(REGION, name).failure_reason}")
        (trial,) = dyno.result(REGION, name)["trials"]
        levels = {str(level["users"]): level["per_minute"] for level in trial["levels"]}
    finally:
        dyno.close()
    return {"per_minute": levels, "usd_per_hour": trial["usd_per_hour"]}


def _submit(dyno: Dyno, place: Path, plan: Plan, name: str, kind: str, workers: str) -> None:
    role, prefix = role_arn(dyno.settings.account), "s3://benchmarks/digits"
    dyno.objects.put(f"{prefix}/model.tar.gz", pack_model(place / "model", place / "model.tar.gz"))
    dyno.objects.put(f"{prefix}/payload.tar.gz", pack_payload(place / "payload", place / "payload.tar.gz"))
    container = {"Image": f"sagemaker-scikit-learn:{FRAMEWORK_VERSION}", "ModelDataUrl": f"{prefix}/model.tar.gz"}
    dyno.call("CreateModel", {"ModelName": name, "ExecutionRoleArn": role, "PrimaryContainer": container}, REGION)
    ranges = {"CategoricalParameterRanges": [{"Name": WORKERS, "Value": [workers]}]}
    seconds = plan.users * plan.seconds_a_step
    steps = {"DurationInSeconds": seconds, "NumberOfSteps": plan.users, "UsersPerStep": 1}
    request = {
        "JobName": name,
        "JobType": "Advanced",
        "RoleArn": role,
        "InputConfig": {
            "ModelName": name,
            "JobDurationInSeconds": max(300, 2 * seconds),
            "ContainerConfig": {
                "Domain": "MACHINE_LEARNING",
                "Task": "OTHER",
                "Framework": "SAGEMAKER-SCIKIT-LEARN",
                "FrameworkVersion": FRAMEWORK_VERSION,
                "PayloadConfig": {
                    "SamplePayloadUrl": f"{prefix}/payload.tar.gz",
                    "SupportedContentTypes": ["text/csv"],
                },
            },
            "EndpointConfigurations": [{"InstanceType": kind, "EnvironmentParameterRanges": ranges}],
            "TrafficPattern": {"TrafficType": "STAIRS", "Stairs": steps},
        },
        "StoppingConditions": {"FlatInvocations": "Continue"},
    }
    dyno.call("CreateInferenceRecommendationsJob", request, REGION)


def summary(plan: Plan, jobs: list[dict[str, Any]], stairs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures over all jobs, against the stairs."""
    costs = {
        name: cost_of([stairs[_pass(name, number)] for number in range(plan.passes)]) for name in map(_key, plan.grid)
    }
    best = min(costs, key=lambda name: costs[name])
    seconds = [job["seconds"] for job in jobs]
    winners = [_key(job["winner"]) for job in jobs]
    return {
        "must": MUST,
        "runs": len(jobs),
        "configurations": len(plan.grid),
        "seconds_median": round(statistics.median(seconds), 1),
        "seconds": [round(value, 1) for value in seconds],
        "load_seconds": [round(job["load_seconds"], 1) for job in jobs],
        "given_up": [job["given_up"] for job in jobs],
        "best": best,
        "winners": winners,
        "winner_over_best": [round(costs[winner] / costs[best] - 1, 4) for winner in winners],
        "stated_over_best": [round(job["usd_per_inference"] / costs[best] - 1, 4) for job in jobs],
        "usd_per_million_inferences": {name: round(1e6 * cost, 4) for name, cost in costs.items()},
    }


def cost_of(passes: list[dict[str, Any]]) -> float:
    """Dollars an inference of a configuration at its best step; a step counts with the median of its passes."""
    steps = {users: statistics.median(one["per_minute"][users] for one in passes) for users in passes[0]["per_minute"]}
    cost = cost_per_inference_usd(passes[0]["usd_per_hour"], max(steps.values()))
    assert cost is not None
    return cost


def _pass(name: str, number: int) -> str:
    return f"{name}, pass {number + 1}"


def _key(configuration: Any) -> str:
    kind, workers = configuration
    return f"{kind} x {workers}"


def main() -> None:
    first = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.default_job", description=first)
    parser.add_argument("--runs", type=int, default=3, help="whole jobs")
    parser.add_argument("--quick", action="store_true", help="one job, two types, two settings, a short stair")
    parser.add_argument("--resume", type=Path, help="a file that keeps finished jobs and configurations")
    parser.add_argument("--place", type=Path, default=Path(".cache/benchmarks/default_job"), help="where it works")
    arguments = parser.parse_args()
    plan, runs = (QUICK, 1) if arguments.quick else (WHOLE, arguments.runs)
    place = arguments.place.absolute()
    kept: dict[str, Any] = {"jobs": [], "stairs": {}}
    if arguments.resume and arguments.resume.exists():
        kept = json.loads(arguments.resume.read_text())
    settings = prepared(place)

    def keep(what: str, measured: dict[str, Any]) -> None:
        if arguments.resume:
            arguments.resume.write_text(json.dumps(kept))
        print(f"{what}: {measured}", file=sys.stderr)

    while len(kept["jobs"]) < runs:
        kept["jobs"].append(whole_job(place, plan))
        keep(f"job {len(kept['jobs'])}/{runs}", kept["jobs"][-1])
    for number, (kind, workers) in itertools.product(range(plan.passes), plan.grid):
        if (name := _pass(_key((kind, workers)), number)) not in kept["stairs"]:
            kept["stairs"][name] = stair(settings, place, plan, kind, workers)
            keep(name, kept["stairs"][name])
    results = {"default_job": summary(plan, kept["jobs"], kept["stairs"])}
    print(json.dumps({"machine": machine(), "quick": arguments.quick, "results": results}, indent=2))


if __name__ == "__main__":
    main()
