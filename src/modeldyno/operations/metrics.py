"""CloudWatch, as far as it is read: which metrics there are, and their statistics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modeldyno.domain.errors import InvalidCombination, InvalidRequest, UnsupportedRequest
from modeldyno.domain.metric import METRICS, MINUTE_SECONDS, STATISTICS, Metric, Values, figure, percentile_of
from modeldyno.operations.context import Context
from modeldyno.operations.metric_sources import Found, MetricSources, Span
from modeldyno.operations.shapes import Shape, integer, name, seconds, struct, structs, text, texts
from modeldyno.operations.unsupported import refuse_unsupported

MOST_DATAPOINTS = 1_440
"""Of GetMetricStatistics. **Source:** botocore, CloudWatch, GetMetricStatistics."""
_MOST_OF_DATA = 100_800  # Source: the same, GetMetricDataInput MaxDatapoints
_MOST_QUERIES = 500  # Source: the same, GetMetricDataInput MetricDataQueries
_PAGE = 500  # Source: the same, ListMetrics
_SHORT_PERIODS = (1, 5, 10, 20, 30)  # Source: the same, GetMetricStatisticsInput Period
_LISTED_SECONDS = 14 * 86_400  # Source: the same, ListMetrics: "in the past two weeks"
_RECENT_SECONDS = 3 * 3_600  # Source: the same, RecentlyActive PT3H
_LATEST = 2**40  # seconds: far beyond any time
_ID = re.compile("[a-z][a-zA-Z0-9_]*")
_TOKEN = re.compile("([0-9]{1,9})")


def get_metric_statistics(context: Context, params: Shape) -> Shape:
    """Statistics of one metric, one data point for each period that has values."""
    refuse_unsupported("GetMetricStatistics", params)
    statistics, extended = texts(params, "Statistics"), texts(params, "ExtendedStatistics")
    if bool(statistics) == bool(extended):
        raise InvalidCombination("Exactly one of Statistics and ExtendedStatistics must be given.")
    for one in extended:
        _check_statistic(one, ())
    span = _span(params, params)
    if (asked := -(-(span.end - span.begin) // span.period)) > MOST_DATAPOINTS:
        raise InvalidCombination(
            f"You have requested up to {asked} datapoints, which exceeds the limit of {MOST_DATAPOINTS}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
    metric = _metric(params, text(params, "Unit"))
    points = []
    if metric is not None:
        for at, values in MetricSources(context).values(metric, _dimensions(params), span):
            points.append(_datapoint(metric, at, values, statistics, extended))
    return {"Label": name(params, "MetricName"), "Datapoints": points}


def _datapoint(metric: Metric, at: int, values: Values, statistics: Sequence[str], extended: Sequence[str]) -> Shape:
    point: Shape = {"Timestamp": float(at), "Unit": str(metric.unit)}
    point |= {one: figure(metric, values, one) for one in statistics}
    if extended:
        point["ExtendedStatistics"] = {one: figure(metric, values, one) for one in extended}
    return point


def get_metric_data(context: Context, params: Shape) -> Shape:
    """Statistics of several metrics, in pages of `MaxDatapoints`."""
    refuse_unsupported("GetMetricData", params)
    queries = structs(params, "MetricDataQueries")
    _check_queries(queries)
    sources = MetricSources(context)
    newest_first = text(params, "ScanBy") != "TimestampAscending"
    asked = integer(params, "MaxDatapoints")
    first = _offset(params)
    last = first + (_MOST_OF_DATA if asked is None else max(1, min(asked, _MOST_OF_DATA)))
    results = []
    passed = 0
    for query in queries:
        if query.get("ReturnData") is False:
            continue
        points = _series(sources, params, query, newest_first=newest_first)
        begin, end = max(0, first - passed), max(0, last - passed)
        results.append(_result(query, points[begin:end], cut=end < len(points)))
        passed += len(points)
    return {"MetricDataResults": results, "NextToken": str(last) if last < passed else None, "Messages": []}


def _series(sources: MetricSources, params: Shape, query: Shape, *, newest_first: bool) -> list[tuple[int, float]]:
    asked = struct(query, "MetricStat")
    which, statistic = struct(asked, "Metric"), name(asked, "Stat")
    metric, span = _metric(which, text(asked, "Unit")), _span(params, asked)
    if metric is None:
        return []
    found = sources.values(metric, _dimensions(which), span)
    points = [(at, figure(metric, values, statistic)) for at, values in found]
    return points[::-1] if newest_first else points


def _result(query: Shape, points: Sequence[tuple[int, float]], *, cut: bool) -> Shape:
    label = text(query, "Label") or name(struct(struct(query, "MetricStat"), "Metric"), "MetricName")
    return {
        "Id": name(query, "Id"),
        "Label": label,
        "Timestamps": [float(at) for at, _ in points],
        "Values": [value for _, value in points],
        "StatusCode": "PartialData" if cut else "Complete",
    }


def _check_queries(queries: Sequence[Shape]) -> None:
    if not 1 <= len(queries) <= _MOST_QUERIES:
        raise InvalidRequest(f"MetricDataQueries has {len(queries)} members; it takes 1 to {_MOST_QUERIES}.")
    ids = [name(query, "Id") for query in queries]
    if len(set(ids)) != len(ids):
        raise InvalidRequest("The Ids of MetricDataQueries must differ.")
    for query in queries:
        if _ID.fullmatch(name(query, "Id")) is None:
            raise InvalidRequest(
                f"The Id {name(query, 'Id')!r} must begin with a lower-case letter and hold letters, digits and "
                "underscores."
            )
        if not struct(query, "MetricStat"):
            raise InvalidCombination(f"The query {name(query, 'Id')} has no MetricStat.")
        if "${" in (text(query, "Label") or ""):
            raise UnsupportedRequest("Dynamic labels (${...}) are not supported.")
        _check_statistic(name(struct(query, "MetricStat"), "Stat"), STATISTICS)


def _check_statistic(statistic: str, plain: Sequence[str]) -> None:
    if statistic not in plain and percentile_of(statistic) is None:
        known = ", ".join((*plain, "p0 to p100"))
        raise UnsupportedRequest(f"The statistic {statistic!r} is not supported: {known} are.")


def list_metrics(context: Context, params: Shape) -> Shape:
    """Metrics that have had values in the last two weeks, or in the last three hours."""
    refuse_unsupported("ListMetrics", params)
    recent = text(params, "RecentlyActive") is not None
    since = context.clock.now() - (_RECENT_SECONDS if recent else _LISTED_SECONDS)
    found = [one for one in MetricSources(context).every(since) if _is_asked(params, one)]
    first = _offset(params)
    shown = found[first : first + _PAGE]
    return {
        "Metrics": [
            {
                "Namespace": str(one.metric.namespace),
                "MetricName": one.metric.name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in one.dimensions.items()],
            }
            for one in shown
        ],
        "NextToken": str(first + _PAGE) if first + _PAGE < len(found) else None,
    }


def _is_asked(params: Shape, found: Found) -> bool:
    namespace, metric = text(params, "Namespace"), text(params, "MetricName")
    if namespace not in (None, found.metric.namespace) or metric not in (None, found.metric.name):
        return False
    return all(
        name(one, "Name") in found.dimensions and text(one, "Value") in (None, found.dimensions[name(one, "Name")])
        for one in structs(params, "Dimensions")
    )


# --- reading ---


def _metric(of: Shape, unit: str | None) -> Metric | None:
    """The metric; None where there is none of that name, or it has another unit."""
    found = METRICS.get((name(of, "Namespace"), name(of, "MetricName")))
    return None if found is None or unit not in (None, found.unit) else found


def _dimensions(of: Shape) -> dict[str, str]:
    return {name(one, "Name"): name(one, "Value") for one in structs(of, "Dimensions")}


def _span(params: Shape, of: Shape) -> Span:
    """From a whole minute on (Assumption A-0141). Of shorter periods, only those in which a minute begins have
    values."""
    period = integer(of, "Period")
    assert period is not None
    if period not in _SHORT_PERIODS and period % MINUTE_SECONDS:
        short = ", ".join(map(str, _SHORT_PERIODS))
        raise InvalidRequest(f"Period {period} must be a multiple of {MINUTE_SECONDS}, or one of {short}.")
    start, end = seconds(params, "StartTime"), seconds(params, "EndTime")
    assert start is not None
    assert end is not None
    if start >= end:
        raise InvalidCombination("The parameter StartTime must be less than the parameter EndTime.")
    step = min(period, MINUTE_SECONDS)
    return Span(int(max(0.0, start) // step) * step, min(_LATEST, -int(-end // 1)), period)


def _offset(params: Shape) -> int:
    given = text(params, "NextToken")
    if not given:
        return 0
    if _TOKEN.fullmatch(given) is None:
        raise InvalidRequest("The NextToken is invalid.")
    return int(given)
