"""Does the search over configurations find the optimum of a surface that was really measured?

`record [FILE]` measures every configuration of a grid with `dyno recommend`, each in a deployment of its own, and keeps
the costs in FILE; run again, it goes on where it was (a quiet machine; half a minute a configuration). The model is
boosted trees on handwritten digits (boosting/train.py), or that of `--model` and `--payload`.
`search [FILE]` lets the search choose among the recorded ones, with 15% of them as its tests and 20 seeds; prints JSON.
Without FILE it is the surface that was recorded for the documentation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.summary import machine
from modeldyno.app.compose import build_environment
from modeldyno.cli.demonstration import FRAMEWORK_VERSION
from modeldyno.domain.exploration import Observation, Point, propose, start
from modeldyno.domain.images import Framework
from modeldyno.settings import Settings

# vCPUs, MiB, dollars an hour: as large types of a provider, scaled down to what two cores can be.
TYPES = {
    "half": (0.5, 1024, 0.03),
    "one": (1, 2048, 0.052),
    "one-and-half": (1.5, 3072, 0.081),
    "two": (2, 4096, 0.104),
}
WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
THREADS = "OMP_NUM_THREADS"
VALUES = {WORKERS: ("1", "2", "3", "4", "6"), THREADS: ("1", "2", "4")}
RECORDED = Path(__file__).with_name("boosting") / "costs.json"
HOME = Path(".cache", "benchmarks")
SHARE = 0.15
SEEDS = 20
NEAR = 0.05
MUST = 0.9
PRICES = 0.2
"""Standard deviation of the logarithm of a type's price among seeds. Chosen: half the types' costs a vCPU then differ
by a quarter and more."""
NOISE = 0.02
"""The same of a measurement. Chosen: twice what repeated deployments of a CPU-bound server differ by."""


class Measured(msgspec.Struct):
    """One configuration; `usd_per_inference` None: it failed, `reason` says why."""

    kind: str
    settings: dict[str, str]
    usd_per_inference: float | None
    per_minute: float | None = None
    reason: str | None = None


def grid() -> list[tuple[str, dict[str, str]]]:
    """60 configurations, in an order that is fixed and mixed: a host that drifts then favours no type."""
    values = itertools.product(TYPES, *VALUES.values())
    every = [(kind, dict(zip(VALUES, settings, strict=True))) for kind, *settings in values]
    return random.Random(0).sample(every, len(every))


def boosting() -> tuple[Path, Path]:
    """The trained model and its payload, made once under `.cache`."""
    place = HOME / "boosting"
    if not (place / "model" / "code").is_dir():
        python = build_environment(Settings(data_dir=str(HOME.resolve())), Framework.SCIKIT_LEARN, FRAMEWORK_VERSION)
        subprocess.run([python, "-I", RECORDED.with_name("train.py"), place.resolve()], check=True)
        (place / "model" / "code").mkdir()
        with as_file(files("modeldyno") / "data" / "demo" / "inference.py") as handler:
            shutil.copy(handler, place / "model" / "code")
    return place / "model", place / "payload"


def record(model: Path, payload: Path, content_type: str, file: Path) -> None:
    """Measure what FILE does not hold yet; it is written after each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    place = HOME.resolve() / "configurations"
    place.mkdir(parents=True, exist_ok=True)
    measured = msgspec.json.decode(file.read_bytes(), type=list[Measured]) if file.exists() else []
    known = {(one.kind, tuple(one.settings.items())) for one in measured}
    config = place / "dyno.toml"
    config.write_text("".join(_type(name, *size) for name, size in TYPES.items()))
    for kind, settings in grid():
        if (kind, tuple(settings.items())) in known:
            continue
        measured.append(_measure(model, payload, content_type, config, kind, settings))
        part = file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(measured))
        part.replace(file)
        print(json.dumps(msgspec.to_builtins(measured[-1])), file=sys.stderr)


def _type(name: str, vcpus: float, mebibytes: int, usd: float) -> str:
    facts = f"vcpus = {vcpus}\nmemory_gib = {mebibytes / 1024:g}\nusd_per_hour = {usd}\nexample = true"
    return f'[instances."local.{name}"]\n{facts}\n'


def _measure(
    model: Path, payload: Path, content_type: str, config: Path, kind: str, settings: dict[str, str]
) -> Measured:
    dyno = [str(Path(sys.executable).with_name("dyno")), "recommend", str(model), "--payload", str(payload)]
    dyno += ["--config", str(config), "--data-dir", str(HOME.resolve())]
    dyno += ["--framework", "scikit-learn", "--framework-version", FRAMEWORK_VERSION]
    dyno += ["--content-type", content_type, "--instance-types", f"local.{kind}", "--json"]
    dyno += [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    run = subprocess.run(dyno, capture_output=True, text=True, check=False)
    result: dict[str, Any] = json.loads(run.stdout) if run.stdout else {}
    if run.returncode not in (0, 1) or "job" not in result:
        raise RuntimeError(f"dyno recommend ended with status {run.returncode}: {run.stderr[-2000:]}")
    if not result["recommendations"]:
        return Measured(kind, settings, None, reason=result["job"]["failure_reason"])
    best = result["recommendations"][0]
    return Measured(kind, settings, best["cost_per_inference_usd"], best["capacity_per_minute"])


def search(file: Path) -> dict[str, Any]:
    """How far from the optimum of the recorded costs each seed ends.

    A seed has prices of its own, so that the optimum is elsewhere, and each measurement of it has some noise. Seed 0
    has the recorded prices. What a search chose is judged by the recorded costs at the seed's prices, without noise.
    """
    measured = msgspec.json.decode(file.read_bytes(), type=list[Measured])
    budget = int(SHARE * len(measured))
    ends = [_end(measured, budget, seed) for seed in range(SEEDS)]
    over = [end.over_optimum for end in ends]
    return {
        "machine": machine(),
        "configurations": len(measured),
        "failed": sum(one.usd_per_inference is None for one in measured),
        "tests": budget,
        "must": f"within {NEAR:.0%} of the optimum in 18 of 20 seeds",
        "reached": sum(share <= NEAR for share in over) >= MUST * SEEDS,
        "seeds": SEEDS,
        "seeds_within_5_percent": sum(share <= NEAR for share in over),
        "different_optima": len({end.optimum for end in ends}),
        "configurations_within_5_percent": [end.near for end in ends],
        "median_over_optimum": round(statistics.median(over), 4),
        "over_optimum": [round(share, 4) for share in over],
    }


class _End(NamedTuple):
    """Of one seed. `optimum`: which configuration is the cheapest; `near`: how many are within 5% of it."""

    optimum: int
    near: int
    over_optimum: float


def _end(measured: Sequence[Measured], budget: int, seed: int) -> _End:
    chance = random.Random(seed)
    factors = {kind: math.exp(chance.gauss(0, PRICES)) if seed else 1.0 for kind in TYPES}
    points = [_point(one, factors[one.kind]) for one in measured]
    costs = [one.usd_per_inference and one.usd_per_inference * factors[one.kind] for one in measured]
    seen = [cost and cost * math.exp(chance.gauss(0, NOISE)) for cost in costs]
    found = [Observation(index, seen[index]) for index in start(points, budget, seed)]
    while (chosen := propose(points, found, (), budget - len(found), seed)) is not None:
        found.append(Observation(chosen, seen[chosen]))
    winner = min(found, key=lambda one: one.cost or math.inf).index
    known = {index: cost for index, cost in enumerate(costs) if cost is not None}
    optimum = min(known, key=known.__getitem__)
    near = sum(cost <= (1 + NEAR) * known[optimum] for cost in known.values())
    return _End(optimum, near, known.get(winner, math.inf) / known[optimum] - 1)


def _point(one: Measured, factor: float) -> Point:
    vcpus, mebibytes, usd = TYPES[one.kind]
    return Point(one.kind, vcpus, mebibytes, 0, usd * factor, one.settings)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.configurations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="measure a grid of 60; resumable")
    recording.add_argument("file", type=Path, nargs="?", default=RECORDED, help="where the costs are kept")
    recording.add_argument("--model", type=Path, help="a directory with a scikit-learn model that script mode serves")
    recording.add_argument("--payload", type=Path, help="a directory of requests, or one, for that model")
    recording.add_argument("--content-type", default="text/csv")
    searching = commands.add_parser("search", help="search a recorded surface")
    searching.add_argument("file", type=Path, nargs="?", default=RECORDED)
    arguments = parser.parse_args()
    if arguments.command == "record":
        if (arguments.model is None) != (arguments.payload is None):
            parser.error("--model and --payload go together")
        model, payload = (arguments.model, arguments.payload) if arguments.model else boosting()
        record(model, payload, arguments.content_type, arguments.file)
    else:
        print(json.dumps(search(arguments.file), indent=2))


if __name__ == "__main__":
    main()
