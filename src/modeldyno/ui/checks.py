"""The answer of a check: plain values for programs, JUnit XML for CI, a table for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from modeldyno.domain.gate import Finding, Outcome, together
from modeldyno.ui import words
from modeldyno.ui.tables import plain_table
from modeldyno.ui.words import Document

_STYLES = {"passes": "green", "fails": "red", "cannot tell": "yellow"}
_HEADLINES = {"passes": "It passes.", "fails": "It fails.", "cannot tell": "Whether it passes cannot be told."}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # Source: XML 1.0, production Char


def check_document(
    result: Document,
    judged: Sequence[tuple[Document, Sequence[Outcome]]],
    finding: Finding,
    exit_status: int,
    notes: Sequence[str],
) -> dict[str, Any]:
    """What each configuration of a result comes to, rule by rule (``dyno-check/1``)."""
    return {
        "format": "dyno-check/1",
        "finding": str(finding),
        "exit_status": exit_status,
        "job": result["job"]["name"],
        "created_at": result["job"]["created_at"],
        "host": result.get("host"),
        "notes": list(notes),
        "configurations": [_configuration(trial, outcomes) for trial, outcomes in judged],
    }


def _configuration(trial: Document, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "instance_type": trial["instance_type"],
        "environment": trial["environment"],
        "finding": str(together(outcomes)),
        "seconds": (trial["ended_at"] or 0.0) - (trial["started_at"] or trial["ended_at"] or 0.0),
        "rules": [_rule(outcome) for outcome in outcomes],
        "flags": trial["flags"],
        "log_tail": trial["log_tail"],
    }


def _rule(outcome: Outcome) -> dict[str, Any]:
    return {
        "rule": outcome.rule,
        "finding": str(outcome.finding),
        "text": outcome.text,
        "value": outcome.value,
        "low": outcome.low,
        "high": outcome.high,
    }


def check_view(document: Document) -> RenderableType:
    """The answer for a terminal."""
    parts: list[RenderableType] = []
    for one in document["configurations"]:
        table = plain_table("", "rule", "")
        for rule in one["rules"]:
            finding = Text(rule["finding"], style=_STYLES[rule["finding"]])
            table.add_row(finding, Text(rule["rule"]), Text(words.sentence(rule["text"])))
        parts += [Text(words.configuration(one), style="bold"), table]
        told = (words.sentence(text) for text in one["flags"].values())
        parts += [*(Padding(Text(line), (0, 0, 0, 2)) for line in told), Text("")]
    parts += [Text(note) for note in document["notes"]]
    finding = document["finding"]
    return Group(*parts, Text(_HEADLINES[finding], style=f"bold {_STYLES[finding]}"))


def junit_xml(document: Document) -> bytes:
    """JUnit XML: a suite for each configuration, a case for each rule. What cannot be told is an error.

    Source: the Jenkins xUnit plugin's junit-10.xsd.
    """
    root = ElementTree.Element("testsuites", name="dyno check")
    for one in document["configurations"]:
        _suite(root, document, one)
    if not document["configurations"]:
        suite = ElementTree.SubElement(root, "testsuite", name="dyno check", tests="1", failures="0", errors="1")
        case = ElementTree.SubElement(suite, "testcase", classname=document["job"], name="measured")
        ElementTree.SubElement(case, "error", message=_legal(" ".join(document["notes"])))
    ElementTree.indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode").encode() + b"\n"


def _suite(root: ElementTree.Element, document: Document, one: Document) -> None:
    findings = [rule["finding"] for rule in one["rules"]]
    attributes = {
        "name": _legal(words.configuration(one)),
        "tests": str(len(findings)),
        "failures": str(findings.count("fails")),
        "errors": str(findings.count("cannot tell")),
        "skipped": "0",
        "time": f"{one['seconds']:.3f}",
        "timestamp": datetime.fromtimestamp(document["created_at"], UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    for rule in one["rules"]:
        case = ElementTree.SubElement(suite, "testcase", classname=document["job"], name=_legal(rule["rule"]))
        told = words.sentence(_legal(rule["text"]))
        if rule["finding"] == "passes":
            ElementTree.SubElement(case, "system-out").text = told
        else:
            kind = "failure" if rule["finding"] == "fails" else "error"
            ElementTree.SubElement(case, kind, message=told, type=rule["finding"]).text = told
    notes = [*document["notes"], *(words.sentence(text) for text in one["flags"].values())]
    if notes:
        ElementTree.SubElement(suite, "system-out").text = _legal("\n".join(notes))
    if one["log_tail"]:
        ElementTree.SubElement(suite, "system-err").text = _legal(one["log_tail"])


def _legal(text: str) -> str:
    """Without what XML 1.0 cannot hold, such as a terminal's escape sequences."""
    return _NO_XML.sub("\ufffd", text)
