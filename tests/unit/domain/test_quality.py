"""What makes a figure doubtful is said in words; what does not, is not."""

from __future__ import annotations

from dataclasses import replace

from modeldyno.domain.job import LatencyThreshold, StoppingRules
from modeldyno.domain.latency import LatencyHistogram
from modeldyno.domain.measurement import Window
from modeldyno.domain.quality import close_call, flags_of
from modeldyno.domain.trial import Flag
from tests.unit.domain.builders import a_trial, a_type


def windows(count: int = 8, **changes: list[float]) -> list[Window]:
    """Two users on a server of 20 ms: 100 invocations a second, 10 ms of CPU each."""
    made = []
    for i in range(count):
        answered = int(changes.get("answered", [100] * count)[i])
        made.append(
            Window(
                i,
                i,
                1.0,
                2,
                LatencyHistogram.of([int(changes.get("latency_ms", [20] * count)[i] * 1e6)] * answered).counts,
                generator_cpu_seconds=changes.get("generator", [0.05] * count)[i],
                generator_delay_seconds=changes.get("delay", [0.0] * count)[i],
                cpu_seconds=changes.get("cpu", [1.0] * count)[i],
            )
        )
    return made


def flags(made: list[Window], foreign: float | None = 0.0, half_width: float = 0.01) -> dict[Flag, str]:
    return flags_of(made, relative_half_width=half_width, foreign_share=foreign, stopped=False)


def test_a_quiet_measurement_has_no_flag() -> None:
    assert flags(windows()) == {}


def test_a_busy_and_a_delayed_generator_are_told() -> None:
    assert "used 40% of a core" in flags(windows(generator=[0.4] * 8))[Flag.GENERATOR_BUSY]
    assert "2.0% of the time" in flags(windows(delay=[0.02] * 8))[Flag.GENERATOR_DELAYED]


def test_foreign_load_over_3_percent_is_told() -> None:
    assert set(flags(windows(), foreign=0.1)) == {Flag.FOREIGN_LOAD}
    assert flags(windows(), foreign=0.02) == {}
    assert flags(windows(), foreign=None) == {}


def test_cpu_per_request_that_drifts_is_told() -> None:
    told = flags(windows(cpu=[1.0] * 4 + [1.1] * 4))
    assert "+10% from the first half" in told[Flag.CPU_DRIFT]


def test_a_steady_drift_of_the_throughput_is_told() -> None:
    told = flags(windows(answered=[100 - 2 * i for i in range(8)]))
    assert "-15% over the windows" in told[Flag.TREND]


def test_users_that_throughput_and_latency_do_not_explain_are_told() -> None:
    assert "explains 50% of the users" in flags(windows(latency_ms=[10.0] * 8))[Flag.LITTLES_LAW]


def test_few_requests_and_wide_scatter_are_told() -> None:
    told = flags(windows(answered=[5] * 8, latency_ms=[400.0] * 8), half_width=0.2)
    assert {Flag.FEW_REQUESTS, Flag.NOT_SETTLED} <= set(told)


def test_memory_that_grows_all_the_time_is_told_and_a_single_step_is_not() -> None:
    def told(*mebibytes: float) -> dict[Flag, str]:
        used = [replace(w, memory_bytes=round(m * 2**20)) for w, m in zip(windows(), mebibytes, strict=False)]
        return flags(used)

    assert "by 14% in all" in told(100, 102, 104, 106, 108, 110, 112, 114)[Flag.MEMORY_GROWS]
    assert told(100, 114, 114, 114, 114, 114, 114, 114) == {}
    assert told(100, 100.1, 100.2, 100.3, 100.4, 100.5, 100.6, 100.7) == {}


def test_a_percentile_too_close_to_its_threshold_is_told() -> None:
    trial = a_trial(0, a_type("t"), 6000, latency_ms=49.0)
    assert trial.result is not None
    rules = StoppingRules(threshold=LatencyThreshold(95.0, 50))
    assert (
        "p95 is 49.0 ms, too close to the threshold of 50 ms"
        in close_call(trial.result.figures, rules)[Flag.CLOSE_CALL]
    )
    assert close_call(trial.result.figures, StoppingRules()) == {}
