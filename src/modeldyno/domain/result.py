"""The result document: a job's exact figures and windows as plain JSON values (`result.json`, reports, comparisons)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modeldyno.domain.job import Job
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window, merged_latency
from modeldyno.domain.recommend import Recommendation, pareto_front, recommend
from modeldyno.domain.run_off import RunOff
from modeldyno.domain.stopping import blocks, percentile_ms
from modeldyno.domain.trial import Figures, OpenLoop, Trial

FORMAT = "dyno-result/1"
Document = dict[str, object]


def result_document(job: Job, trials: Sequence[Trial], windows: Mapping[int, Sequence[Window]]) -> Document:
    """Everything that is known of a job. `windows` by trial index; times in seconds since the epoch, units in names."""
    rows = recommend(job, trials)
    front = pareto_front(rows)
    return {
        "format": FORMAT,
        "job": _job(job),
        "recommendations": [_recommendation(rank, row, job, row.id in front) for rank, row in enumerate(rows, 1)],
        "run_off": _run_off(job.run_off),
        "trials": [_trial(trial, windows.get(trial.spec.index, ())) for trial in trials],
    }


def _job(job: Job) -> Document:
    rules = job.spec.rules
    return {
        "name": job.name,
        "region": job.region,
        "arn": job.arn,
        "type": str(job.spec.job_type),
        "status": str(job.status),
        "created_at": job.created_at,
        "completed_at": job.completed_at,
        "failure_reason": job.failure_reason,
        "plan_notes": list(job.plan_notes),
        "percentile": rules.percentile,
        "threshold_ms": rules.threshold.limit_ms if rules.threshold else None,
        "target_per_minute": rules.target_per_minute,
        "seed": job.spec.seed,
    }


def _recommendation(rank: int, row: Recommendation, job: Job, pareto: bool) -> Document:
    kind = row.trial.spec.instance_type
    assert row.trial.result is not None  # only completed trials become rows
    figures = row.trial.result.figures
    return {
        "rank": rank,
        "id": row.id,
        "trial_index": row.trial.spec.index,
        "instance_type": row.trial.spec.title,
        "serverless": _serverless(row.trial),
        "environment": row.environment,
        "compiled": _compiled(row.trial),
        "capacity_per_minute": row.outcome.capacity_per_minute,
        "latency_ms": row.outcome.latency_ms,
        "percentile": job.spec.rules.percentile,
        "open_loop": _open_loop(row.trial.result.open_loop, row.outcome.instance_count),
        "capacity_low_per_minute": _scaled(figures.capacity_low_per_minute, row.outcome.instance_count),
        "capacity_high_per_minute": _scaled(figures.capacity_high_per_minute, row.outcome.instance_count),
        "latency_low_ms": figures.latency_low_ms,
        "latency_high_ms": figures.latency_high_ms,
        "cpu_percent": row.outcome.cpu_percent,
        "memory_percent": row.outcome.memory_percent,
        "cost_per_hour_usd": row.outcome.cost_per_hour_usd,
        "cost_per_inference_usd": row.outcome.cost_per_inference_usd,
        "price_basis": str(kind.price_basis),
        "price_source": kind.price_source,
        "estimated": kind.estimated,
        "instance_count": row.outcome.instance_count,
        "setup_seconds": row.trial.result.setup_seconds,
        "pareto": pareto,
    }


def _run_off(ended: RunOff | None) -> Document | None:
    """How the leaders came out when they were measured again in turns; None where there was no run-off."""
    if ended is None:
        return None
    return {
        "note": ended.note,
        "together": ended.together,
        "seconds": ended.seconds,
        "standings": [
            {
                "trial_index": one.trial_index,
                "rounds": one.rounds,
                "per_minute": one.per_minute,
                "cost_ratio": one.ratio,
                "cost_ratio_low": one.low,
                "cost_ratio_high": one.high,
                "told_apart": one.told_apart,
            }
            for one in ended.standings
        ],
        "turns": [
            {
                "trial_index": turn.trial_index,
                "round": turn.round,
                "started_at": turn.started_at,
                "seconds": turn.seconds,
                "requests": turn.requests,
            }
            for turn in ended.turns
        ],
    }


def _compiled(trial: Trial) -> str | None:
    """The compilation job of a compiled model."""
    return trial.spec.compiled.compilation_job if trial.spec.compiled else None


def _scaled(value: float | None, instances: int) -> float | None:
    return None if value is None else value * instances


def _open_loop(told: OpenLoop | None, instances: int = 1) -> Document | None:
    """What is known of arrivals that do not wait, for so many instances."""
    if told is None:
        return None
    return {
        "per_minute": _scaled(told.per_minute, instances),
        "low_per_minute": _scaled(told.low_per_minute, instances),
        "high_per_minute": _scaled(told.high_per_minute, instances),
        "at_least": told.at_least,
        "requests": told.requests,
        "seconds": told.seconds,
        "note": told.note,
    }


def _trial(trial: Trial, windows: Sequence[Window]) -> Document:
    kind = trial.spec.instance_type
    result = trial.result
    return {
        "index": trial.spec.index,
        "endpoint_name": trial.spec.endpoint_name,
        "inference_specification": trial.spec.specification,
        "existing_endpoint": trial.spec.existing is not None,
        "instance_type": trial.spec.title,
        "serverless": _serverless(trial),
        "vcpus": kind.vcpus,
        "memory_mib": kind.memory_mib,
        "price_basis": str(kind.price_basis),
        "usd_per_hour": kind.usd_per_hour,
        "usd_per_second": kind.usd_per_second,
        "environment": trial.spec.environment,
        "tuned": trial.spec.tuned,
        "compiled": _compiled(trial),
        "workers": trial.spec.workers,
        "status": str(trial.status),
        "attempt": trial.attempt,
        "failure_reason": trial.failure_reason,
        "log_tail": trial.log_tail,
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        "runtime": result.runtime if result else "",
        "stop_reason": result.stop_reason if result else None,
        "flags": {str(flag): text for flag, text in result.flags.items()} if result else {},
        "figures": _figures(result.figures) if result else None,
        "levels": _levels([window for window in windows if window.users]),
        "open_loop": _open_loop(result.open_loop) if result else None,
        "setup_seconds": result.setup_seconds if result else None,
        "rates": _rates(windows),
        "windows": [_window(window) for window in windows],
    }


def _serverless(trial: Trial) -> Document | None:
    asked = trial.spec.serverless
    return None if asked is None else {"memory_mb": asked.memory_mb, "concurrency": asked.concurrency}


def _figures(figures: Figures) -> Document:
    return {name: getattr(figures, name) for name in Figures.__dataclass_fields__}


def _levels(windows: Sequence[Window]) -> list[Document]:
    """One row a number of users, in order of users: blocks of the same users are joined."""
    joined: dict[int, list[Window]] = {}
    for block in blocks(windows):
        joined.setdefault(block.users, []).extend(block.windows)
    return [_level(users, joined[users]) for users in sorted(joined)]


def _rates(windows: Sequence[Window]) -> list[Document]:
    """One row a rate of open-loop arrivals, in order of rates."""
    joined: dict[float, list[Window]] = {}
    for window in windows:
        if window.rate_per_second is not None and not window.settling:
            joined.setdefault(window.rate_per_second, []).append(window)
    return [{"rate_per_minute": rate * 60, **_answered(joined[rate])} for rate in sorted(joined)]


def _level(users: int, windows: Sequence[Window]) -> Document:
    return {"users": users, **_answered(windows)}


def _answered(windows: Sequence[Window]) -> Document:
    seconds = sum(window.duration_seconds for window in windows)
    latency = merged_latency(windows)
    row: Document = {"seconds": seconds, "requests": latency.count}
    return row | {"per_minute": latency.count / seconds * 60 if seconds else 0.0} | _percentiles(latency)


def _window(window: Window) -> Document:
    cpu = window.cpu_seconds
    seconds = window.duration_seconds
    return {
        "sequence": window.sequence,
        "started_at": window.started_at,
        "duration_seconds": seconds,
        "users": window.users,
        "rate_per_minute": None if window.rate_per_second is None else window.rate_per_second * 60,
        "settling": window.settling,
        "succeeded": window.succeeded,
        "failed": window.failed,
        "per_minute": window.per_second * 60,
        **_percentiles(window.latency),
        "cpu_percent": 100.0 * cpu / seconds if cpu is not None and seconds else None,
        "memory_bytes": window.memory_bytes,
        "generator_cpu_percent": 100.0 * window.generator_cpu_seconds / seconds if seconds else 0.0,
        "latency_counts": {str(bucket): count for bucket, count in sorted(window.latency_counts.items())},
    }


def _percentiles(latency: LatencyHistogram) -> Document:
    return {f"p{percentile}_ms": percentile_ms(latency, percentile) for percentile in (50, 95, 99)}
