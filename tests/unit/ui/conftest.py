"""A result document as a job of five trials leaves it: four measured, one failed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

STARTED = 1_780_000_000.0
_BOUNDS = ("capacity_low_per_minute", "capacity_high_per_minute", "latency_low_ms", "latency_high_ms")
HOSTILE = "</script><script>alert('x')</script>"


def _latencies(workers: int, users: int, service_ms: float) -> tuple[float, float, float]:
    middle = service_ms * max(1.0, users / workers)
    return middle, middle * 1.25, middle * 1.6


def _per_minute(workers: int, users: int, service_ms: float) -> float:
    return 60_000 / service_ms * min(users, workers) * (1 - 0.08 * math.exp(-users / 3))


def _levels(workers: int, service_ms: float) -> list[dict[str, Any]]:
    levels = []
    for users in (1, 2, 4, 8):
        p50, p95, p99 = _latencies(workers, users, service_ms)
        rate = _per_minute(workers, users, service_ms)
        levels.append(
            {
                "users": users,
                "seconds": 4.0,
                "requests": round(rate / 15),
                "per_minute": rate,
                "p50_ms": p50,
                "p95_ms": p95,
                "p99_ms": p99,
            }
        )
    return levels


def _windows(workers: int, service_ms: float) -> list[dict[str, Any]]:
    windows = []
    for sequence in range(24):
        users = (1, 2, 4, 8, 4, 4)[sequence // 4]
        p50, p95, p99 = _latencies(workers, users, service_ms)
        wobble = 1 + 0.03 * math.sin(sequence * 2.3)
        rate = _per_minute(workers, users, service_ms) * wobble
        windows.append(
            {
                "sequence": sequence,
                "started_at": STARTED + sequence,
                "duration_seconds": 1.0,
                "users": users,
                "succeeded": round(rate / 60),
                "failed": {},
                "per_minute": rate,
                "p50_ms": p50 / wobble,
                "p95_ms": p95 / wobble,
                "p99_ms": p99 / wobble,
                "cpu_percent": 100.0 * workers * min(1.0, users / workers) * 0.97,
                "memory_bytes": 180 * 1024**2,
                "generator_cpu_percent": 6.0,
                "latency_counts": {str(4000 + sequence): round(rate / 60)},
            }
        )
    return windows


def _trial(index: int, name: str, vcpus: float, price: float | None, basis: str, workers: int) -> dict[str, Any]:
    service_ms = {0.5: 29.0, 1.0: 14.0, 1.5: 10.0}[vcpus]
    effective = min(workers, vcpus) if vcpus >= 1 else 1
    levels = _levels(max(1, int(effective)), service_ms)
    best = levels[2]
    return {
        "index": index,
        "endpoint_name": f"sm-epc-{index:08x}",
        "instance_type": name,
        "vcpus": vcpus,
        "memory_mib": 2048,
        "price_basis": basis,
        "usd_per_hour": price,
        "environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)},
        "tuned": {"SAGEMAKER_MODEL_SERVER_WORKERS": str(workers)},
        "workers": workers,
        "status": "COMPLETED",
        "attempt": 1,
        "failure_reason": None,
        "log_tail": "",
        "runtime": f"scikit-learn 1.9.0, script mode, {workers} worker{'s' if workers > 1 else ''}",
        "started_at": STARTED,
        "ended_at": STARTED + 31,
        "stop_reason": "throughput is flat from 4 users on",
        "flags": {},
        "figures": {
            "capacity_per_minute": best["per_minute"],
            "percentile": 95.0,
            "latency_ms": best["p95_ms"],
            "latencies_ms": {"p50": best["p50_ms"], "p95": best["p95_ms"], "p99": best["p99_ms"]},
            "users": 4,
            "requests": 1_204,
            "failed": 0,
            "measured_seconds": 8.0,
            "warmup_seconds": 2.0,
            "total_requests": 4_301,
            "total_failed": 0,
            "total_seconds": 24.0,
            "errors": {},
            "cpu_percent": 97.0 * effective,
            "memory_percent": 8.8,
            "memory_peak_bytes": 190 * 1024**2,
            "generator_cpu_percent": 6.0,
            "capacity_low_per_minute": 0.99 * best["per_minute"],
            "capacity_high_per_minute": 1.01 * best["per_minute"],
            "latency_low_ms": 0.97 * best["p95_ms"],
            "latency_high_ms": 1.05 * best["p95_ms"],
            "first_window": 16,
            "last_window": 23,
        },
        "levels": levels,
        "windows": _windows(max(1, int(effective)), service_ms),
    }


_OPEN_LOOP = {
    "per_minute": 3_000.0,
    "low_per_minute": 2_850.0,
    "high_per_minute": 3_150.0,
    "at_least": False,
    "requests": 2_100,
    "seconds": 45.0,
    "note": "",
}


def _rates() -> list[dict[str, Any]]:
    rows = ((2_700.0, 31.0, 88.0, 130.0), (3_300.0, 40.0, 115.0, 190.0))
    names = ("rate_per_minute", "p50_ms", "p95_ms", "p99_ms")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _recommendation(rank: int, trial: dict[str, Any], pareto: bool) -> dict[str, Any]:
    figures, price = trial["figures"], trial["usd_per_hour"]
    return {
        "rank": rank,
        "id": f"churn/{rank:08d}",
        "trial_index": trial["index"],
        "instance_type": trial["instance_type"],
        "environment": trial["environment"],
        "capacity_per_minute": math.floor(figures["capacity_per_minute"]),
        "latency_ms": math.ceil(figures["latency_ms"]),
        "percentile": 95.0,
        **{name: figures[name] for name in _BOUNDS},
        "cpu_percent": figures["cpu_percent"],
        "memory_percent": figures["memory_percent"],
        "cost_per_hour_usd": price,
        "cost_per_inference_usd": price / (figures["capacity_per_minute"] * 60) if price else None,
        "price_basis": trial["price_basis"],
        "price_source": "the demo's own example" if price else "",
        "estimated": trial["price_basis"] == "estimated",
        "instance_count": 1,
        "pareto": pareto,
        "open_loop": trial.get("open_loop"),
    }


def _failed() -> dict[str, Any]:
    trial = _trial(4, "local.big", 1.0, 0.12, "example", 1)
    return trial | {
        "status": "FAILED",
        "failure_reason": "The model server exited with status 1 before /ping answered.",
        "log_tail": f"Traceback (most recent call last):\nValueError: {HOSTILE}",
        "figures": None,
        "levels": [],
        "windows": [],
        "stop_reason": None,
    }


@pytest.fixture
def result() -> dict[str, Any]:
    """Four configurations were measured, one failed, two types were left out."""
    trials = [
        _trial(0, "local.one-and-half", 1.5, 0.09, "example", 2),
        _trial(1, "local.one", 1.0, 0.05, "estimated", 1),
        _trial(2, "local.half", 0.5, 0.03, "example", 1),
        _trial(3, "local.mystery", 1.0, None, "unknown", 2),
        _failed(),
    ]
    trials[1] |= {"open_loop": _OPEN_LOOP, "rates": _rates()}
    trials[0]["flags"] = {"fills_host": "the instance fills the host: the load generator shared its cores"}
    ranked = [
        _recommendation(1, trials[1], True),
        _recommendation(2, trials[2], False),
        _recommendation(3, trials[0], True),
        _recommendation(4, trials[3], False),
    ]
    return {
        "format": "dyno-result/1",
        "job": {
            "name": "churn",
            "region": "us-east-1",
            "arn": "arn:aws:sagemaker:us-east-1:000000000000:inference-recommendations-job/churn",
            "type": "Default",
            "status": "COMPLETED",
            "created_at": STARTED - 4,
            "completed_at": STARTED + 150,
            "failure_reason": None,
            "plan_notes": ["ml.c5.9xlarge was left out: it has 36 vCPUs, the host has 2 cores."],
            "percentile": 95.0,
            "threshold_ms": 100,
            "target_per_minute": None,
            "seed": 7,
        },
        "recommendations": ranked,
        "trials": trials,
    }


@pytest.fixture
def without_answer(result: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The same job when nothing could be measured."""

    def make(status: str = "FAILED", reason: str | None = "Every trial failed.") -> dict[str, Any]:
        job = result["job"] | {"status": status, "failure_reason": reason}
        return result | {"job": job, "recommendations": [], "trials": [result["trials"][4]]}

    return make
