"""CloudWatch Logs, as far as it is read: groups, streams and events."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from modeldyno.domain.errors import InvalidRequest, UnsupportedRequest
from modeldyno.operations import log_streams
from modeldyno.operations.context import Context
from modeldyno.operations.log_streams import Line
from modeldyno.operations.shapes import Shape, integer, text, texts
from modeldyno.operations.unsupported import refuse_unsupported

_Item = TypeVar("_Item")

MOST_EVENTS = 10_000
"""Of a page. **Source:** botocore, CloudWatch Logs, GetLogEvents limit."""
_MOST_BYTES = 1024**2  # Source: the same: "as many events as can fit in a response size of 1 MB"
_PER_EVENT = 26  # bytes that count beside the message; Source: CloudWatch Logs API reference, PutLogEvents
_PAGE = 50
_TOKEN = re.compile(r"(f|b|o)/([0-9]{1,15})")
_WORD = re.compile(r'([-?]?)("(?:[^"\\]|\\.)*"|\S+)')


def describe_log_groups(context: Context, params: Shape) -> Shape:
    """The groups: that of the jobs, and one an endpoint."""
    refuse_unsupported("DescribeLogGroups", params)
    prefix, part = text(params, "logGroupNamePrefix") or "", text(params, "logGroupNamePattern") or ""
    found = [name for name in log_streams.groups(context) if name.startswith(prefix) and part.lower() in name.lower()]
    page, token = _page(params, found)
    rows = [
        {"logGroupName": name, "arn": f"{_arn(context, name)}:*", "logGroupArn": _arn(context, name)} for name in page
    ]
    return {"logGroups": rows, "nextToken": token}


def describe_log_streams(context: Context, params: Shape) -> Shape:
    """The streams of a group, by name or by their last event."""
    refuse_unsupported("DescribeLogStreams", params)
    group = _group(params)
    prefix = text(params, "logStreamNamePrefix") or ""
    by_time = text(params, "orderBy") == "LastEventTime"
    if by_time and prefix:
        raise InvalidRequest("Cannot order by LastEventTime with a logStreamNamePrefix.")
    names = list(log_streams.streams(context, group, prefix))
    if by_time:
        names.sort(key=lambda name: _last(log_streams.lines(context, group, name)))
    if params.get("descending"):
        names.reverse()
    page, token = _page(params, names)
    return {"logStreams": [_stream(context, group, name) for name in page], "nextToken": token}


def get_log_events(context: Context, params: Shape) -> Shape:
    """Events of one stream: the newest, or from the head, or on from a token. At the end the token stays as it is."""
    refuse_unsupported("GetLogEvents", params)
    lines = log_streams.lines(context, _group(params), text(params, "logStreamName") or "")
    wanted = [place for place, line in enumerate(lines) if _within(params, line)]
    limit = integer(params, "limit") or MOST_EVENTS
    direction, at = _token(params)
    if direction == "o":
        raise _foreign()
    if direction == "f" or (direction is None and params.get("startFromHead")):
        chosen = _fitting([place for place in wanted if place >= at], lines, limit)
        first, after = (chosen[0], chosen[-1] + 1) if chosen else (at, at)
    else:
        before = [place for place in wanted if direction is None or place < at]
        chosen = sorted(_fitting(before[::-1], lines, limit))
        last = len(lines) if direction is None else at
        first, after = (chosen[0], chosen[-1] + 1) if chosen else (last, last)
    return {
        "events": [_event(lines[place]) for place in chosen],
        "nextForwardToken": f"f/{after:015}",
        "nextBackwardToken": f"b/{first:015}",
    }


def filter_log_events(context: Context, params: Shape) -> Shape:
    """Events of some or all streams of a group, in order of time, that hold the words of the pattern."""
    refuse_unsupported("FilterLogEvents", params)
    group = _group(params)
    names = texts(params, "logStreamNames")
    prefix = text(params, "logStreamNamePrefix") or ""
    if names and prefix:
        raise InvalidRequest("Provide only one of logStreamNames and logStreamNamePrefix, not both.")
    matches = _matcher(text(params, "filterPattern") or "")
    found = [
        (line.at, name, place, line)
        for name in names or log_streams.streams(context, group, prefix)
        for place, line in enumerate(log_streams.lines(context, group, name))
        if _within(params, line) and matches(line.message)
    ]
    found.sort(key=lambda item: item[:3])
    page, token = _page(params, found, MOST_EVENTS)
    events = [
        {**_event(line), "logStreamName": name, "eventId": f"{round(at * 1000):015}-{place:010}-{name}"[:256]}
        for at, name, place, line in page
    ]
    return {"events": events, "searchedLogStreams": [], "nextToken": token}


def _stream(context: Context, group: str, name: str) -> Shape:
    lines = log_streams.lines(context, group, name)
    times = (
        {"firstEventTimestamp": _milliseconds(lines[0].at), "lastEventTimestamp": _milliseconds(lines[-1].at)}
        if lines
        else {}
    )
    return {"logStreamName": name, "arn": f"{_arn(context, group)}:log-stream:{name}", **times}


def _event(line: Line) -> Shape:
    at = _milliseconds(line.at)
    return {"timestamp": at, "ingestionTime": at, "message": line.message}


def _group(params: Shape) -> str:
    """The group, by its name or its ARN."""
    given, identifier = text(params, "logGroupName"), text(params, "logGroupIdentifier")
    if (given is None) == (identifier is None):
        raise InvalidRequest("Provide exactly one of logGroupName and logGroupIdentifier.")
    if given is not None:
        return given
    assert identifier is not None
    return identifier.split(":log-group:")[-1].removesuffix(":*") if identifier.startswith("arn:") else identifier


def _arn(context: Context, group: str) -> str:
    return f"arn:aws:logs:{context.region}:{context.account}:log-group:{group}"


def _within(params: Shape, line: Line) -> bool:
    """At or after startTime, before endTime. **Source:** botocore, GetLogEventsRequest."""
    start, end = integer(params, "startTime"), integer(params, "endTime")
    at = _milliseconds(line.at)
    return (start is None or at >= start) and (end is None or at < end)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _last(lines: Sequence[Line]) -> float:
    return lines[-1].at if lines else 0.0


def _fitting(places: Sequence[int], lines: Sequence[Line], limit: int) -> list[int]:
    """As many as one answer holds."""
    sizes = itertools.accumulate(len(lines[place].message.encode()) + _PER_EVENT for place in places)
    return [place for place, size in zip(places[:limit], sizes, strict=False) if size <= _MOST_BYTES] or list(
        places[:1]
    )


def _token(params: Shape) -> tuple[str | None, int]:
    given = text(params, "nextToken")
    if not given:
        return None, 0
    found = _TOKEN.fullmatch(given)
    if found is None:
        raise _foreign()
    return found[1], int(found[2])


def _foreign() -> InvalidRequest:
    return InvalidRequest("The specified nextToken is invalid.")


def _page(params: Shape, items: Sequence[_Item], most: int = _PAGE) -> tuple[Sequence[_Item], str | None]:
    direction, start = _token(params)
    if direction not in (None, "o"):
        raise _foreign()
    end = start + (integer(params, "limit") or most)
    return items[start:end], f"o/{end:015}" if end < len(items) else None


def _matcher(pattern: str) -> Callable[[str], bool]:
    """All words, or one of those with a question mark; none of those with a minus.

    **Source:** CloudWatch Logs user guide, *Filter pattern syntax*, unstructured events.
    """
    if pattern.startswith(("{", "[", "%")):
        raise UnsupportedRequest("filterPattern with fields or regular expressions is not supported: words are.")
    words = [(sign, word[1:-1] if word.startswith('"') else word) for sign, word in _WORD.findall(pattern)]
    every = [word for sign, word in words if not sign]
    some = [word for sign, word in words if sign == "?"]
    none = [word for sign, word in words if sign == "-"]

    def matches(message: str) -> bool:
        chosen = all(word in message for word in every) and (not some or any(word in message for word in some))
        return chosen and not any(word in message for word in none)

    return matches
