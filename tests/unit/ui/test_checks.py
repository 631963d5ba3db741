"""The answer of a check is valid JUnit XML, whatever a model's log holds."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from modeldyno.domain.gate import Finding, Outcome
from modeldyno.ui.checks import check_document, junit_xml

HOSTILE = 'x"]]></failure>\x1b[31m\x00<&\ud800'


def document(result: dict[str, Any], *outcomes: Outcome) -> dict[str, Any]:
    trial = result["trials"][0] | {"log_tail": HOSTILE}
    judged = [(trial, outcomes)] if outcomes else []
    return check_document(result, judged, Finding.FAILS, 1, ["The hosts are unlike."])


def test_each_rule_is_a_case_with_its_failure_or_error(result: dict[str, Any]) -> None:
    outcomes = [Outcome(HOSTILE, finding, f"{finding} by {HOSTILE}") for finding in Finding]
    root = ElementTree.fromstring(junit_xml(document(result, *outcomes)))
    (suite,) = root
    assert root.tag == "testsuites"
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    cases = {case[0].tag for case in suite.iter("testcase")}
    assert cases == {"system-out", "failure", "error"}
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "</failure>" in (failure.get("message") or "")
    assert "\x1b" not in (failure.text or "")


def test_a_check_that_measured_nothing_is_an_error_and_not_an_empty_success(result: dict[str, Any]) -> None:
    (suite,) = ElementTree.fromstring(junit_xml(document(result)))
    assert suite.get("errors") == "1"
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == "The hosts are unlike."
