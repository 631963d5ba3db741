"""What `dyno check` does: choose what to measure, measure it as `dyno recommend` does, hold it against the rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from modeldyno.app.compose import Dyno, host_facts, open_dyno
from modeldyno.cli.options import INTERRUPTED, heard_or_not, named, terminable
from modeldyno.cli.recommending import carried_out, submit, tell
from modeldyno.cli.request import Wish, job_name, model_request
from modeldyno.cli.results import print_wide
from modeldyno.domain.catalog import Catalogue, InstanceType
from modeldyno.domain.difference import Sample, ranked_trials, sample_of
from modeldyno.domain.errors import InvalidRequest
from modeldyno.domain.gate import Finding, Rules, judge, together
from modeldyno.domain.host import Host, cannot_be
from modeldyno.domain.images import ImageKind, classify
from modeldyno.domain.model import ModelSource
from modeldyno.domain.plan import THREADS_VARIABLE
from modeldyno.ui.checks import check_document, check_view, junit_xml
from modeldyno.ui.differences import other_host

if TYPE_CHECKING:
    from modeldyno.settings import Settings

EXIT_STATUS = {Finding.PASSES: 0, Finding.FAILS: 1, Finding.CANNOT_TELL: 2}
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """The rules, what was measured before, and how the answer is told. `name` None: the job's name is made up."""

    rules: Rules
    baseline: Document | None
    name: str | None
    json: bool
    junit: Path | None
    result: Path | None


def run_check(settings: Settings, region: str, wish: Wish, asked: Asked) -> int:
    """Measure and judge; the exit status: `EXIT_STATUS` of the finding, 130 when it was interrupted."""
    dyno = open_dyno(settings)
    try:
        with terminable():
            chosen = chosen_configurations(dyno, wish, asked.baseline)
            name = asked.name or job_name(wish.model, dyno.entropy.token(6))
            submit(dyno, region, chosen, name)
            if carried_out(dyno, region, name) == INTERRUPTED:
                return INTERRUPTED
            return _answer(dyno.result(region, name) | {"host": host_facts()}, asked)
    finally:
        dyno.close()


def chosen_configurations(dyno: Dyno, wish: Wish, baseline: Document | None) -> Wish:
    """The wish with what a check measures where it was not said: the baseline's best configuration; without a baseline
    one type, with one worker a core. Each is judged, so each is measured to the end.

    Raises:
        InvalidRequest: this host cannot be a type, or the baseline has no answer for one, so nothing could be told.
    """
    best = ranked_trials(baseline)[0] if baseline is not None and ranked_trials(baseline) else None
    types, ranges = wish.instance_types, wish.ranges
    if not types:
        types = (best["instance_type"] if best else default_type(dyno.catalogue, dyno.host()),)
    if not ranges and best:
        ranges = {name: (value,) for name, value in best["tuned"].items()}
    if not ranges and _scripted(dyno, wish):
        ranges = {THREADS_VARIABLE: ("1",)}  # its default is a worker a core: threads would only get in their way
    _refuse_unknown(types, baseline)
    kinds = [dyno.catalogue.get(name) for name in types]
    doubts = [doubt for kind in kinds if kind is not None and (doubt := cannot_be(kind, dyno.host())) is not None]
    if doubts:
        raise InvalidRequest(doubts[0])
    limit = wish.max_p95_ms if baseline is None else wish.max_p95_ms or _limit_of(baseline)
    # Its rules are of closed-loop figures, each of every configuration; which of them is the cheapest is not asked.
    measured = replace(wish, thorough=True, open_loop=False, run_off=False)
    return replace(measured, instance_types=types, ranges=ranges, max_p95_ms=limit)


def _refuse_unknown(types: Sequence[str], baseline: Document | None) -> None:
    if baseline is None:
        return
    known = list(dict.fromkeys(trial["instance_type"] for trial in ranked_trials(baseline)))
    missing = [name for name in types if name not in known]
    if missing:
        measured = f"it measured {', '.join(known)}" if known else "nothing was measured there"
        raise InvalidRequest(f"The baseline has no answer for {', '.join(missing)}: {measured}.")


def _limit_of(baseline: Document) -> int | None:
    """The latency limit under which a baseline was measured: throughputs compare under the same one only."""
    job = baseline["job"]
    return job["threshold_ms"] if job["percentile"] == 95.0 else None


def default_type(catalogue: Catalogue, host: Host) -> str:
    """The cheapest type that leaves the load generator a core; where none does, the cheapest that this host can be.

    Raises:
        InvalidRequest: this host can be none.
    """
    possible = [kind for kind in catalogue.values() if kind.vcpus is not None and cannot_be(kind, host) is None]
    if not possible:
        raise InvalidRequest("This host can be no instance type; say which with --instance-types, or see dyno doctor.")

    def order(kind: InstanceType) -> tuple[bool, bool, float, str]:
        fills = math.ceil(kind.vcpus or 1) >= len(host.cores)
        return (fills, not kind.priced, kind.usd_per_hour or 0.0, kind.name)

    return min(possible, key=order).name


def _scripted(dyno: Dyno, wish: Wish) -> bool:
    image = model_request(wish, "check", "", "")["PrimaryContainer"]["Image"]
    return classify(ModelSource(image, None), dyno.settings.runtimes).kind is ImageKind.SCRIPT


def _answer(result: dict[str, Any], asked: Asked) -> int:
    judged = [(trial, judge(trial, *_sides(result, trial, asked))) for trial in result["trials"]]
    finding = together([outcome for _, outcomes in judged for outcome in outcomes])
    if not judged:
        finding = Finding.CANNOT_TELL
    status = EXIT_STATUS[finding]
    document = check_document(result, judged, finding, status, list(_notes(result, asked)))
    if asked.result is not None:
        with named(asked.result):
            asked.result.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    if asked.junit is not None:
        with named(asked.junit):
            asked.junit.write_bytes(junit_xml(document))
    with heard_or_not():  # the status is the answer
        if asked.json:
            typer.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
        else:
            tell("")
            print_wide(check_view(document))
    return status


def _sides(result: Document, trial: Document, asked: Asked) -> tuple[Sample | None, Rules]:
    """What was measured, and the rules with what was measured before of the same configuration."""
    sample = sample_of(result, trial) if trial["status"] == "COMPLETED" else None
    if asked.baseline is None:
        return sample, asked.rules
    same_type = [one for one in ranked_trials(asked.baseline) if one["instance_type"] == trial["instance_type"]]
    same = [one for one in same_type if one["tuned"] == trial["tuned"]] or same_type
    before = sample_of(asked.baseline, same[0]) if same else None
    return sample, replace(asked.rules, baseline=before, has_baseline=True)


def _notes(result: Document, asked: Asked) -> Iterator[str]:
    job = result["job"]
    if not result["trials"]:
        yield job["failure_reason"] or "No configuration was measured."
    baseline = asked.baseline
    if baseline is None:
        return
    if (text := other_host(baseline, result)) is not None:
        yield text
    before, now = baseline["job"]["threshold_ms"], job["threshold_ms"]
    if before != now:
        limits = ["no latency limit" if limit is None else f"a limit of {limit:g} ms" for limit in (before, now)]
        yield f"The baseline was measured with {limits[0]}, this with {limits[1]}: the throughputs differ in kind."
    tuned = {_settings(one) for one in ranked_trials(baseline)}
    if any(_settings(trial) not in tuned for trial in result["trials"]):
        yield "The baseline has other settings of the model server than what was measured now."


def _settings(trial: Document) -> tuple[str, tuple[tuple[str, str], ...]]:
    return trial["instance_type"], tuple(sorted(trial["tuned"].items()))
