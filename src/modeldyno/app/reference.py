"""docs/reference/operations.md: every operation that is answered, where it stands, and the test that shows it.

``python -m modeldyno.app.reference > docs/reference/operations.md`` writes it, in the project's directory, whose tests
it reads; a test checks that it is current.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore import xform_name

from modeldyno.buckets.table import TABLE
from modeldyno.operations.registry import OPERATIONS, OPERATIONS_OF, Operation, Standing
from modeldyno.wire.service import Api, service

_HEAD = """\
# Operations

All {total} operations of the SageMaker API (service model {version}) and where Dyno stands with each:
{done} are done, {complete} of them completely; the other {refused} are refused. Of [other services](#other-services),
those that SageMaker's clients need.

- **complete**: every member of the request is honoured, checked or echoed.
- **partial**: it works, except for what is said beside it. A member that is refused is named in the error; no member
  is dropped in silence.
- **refused**: answered with `UnknownOperationException` (of S3, `NotImplemented`) and a message that names the
  operation.

Every request is held against the service model first, all violations in one `ValidationException`; a wrong type is a
`SerializationException`; a member that the model does not know is a violation too. Beside the test that is named, each
operation is driven with generated input, valid and broken (`tests/properties/test_operations.py`).

This page is generated: `python -m modeldyno.app.reference > docs/reference/operations.md`.

## What Dyno does

{rows}

## Other services

{others}

## What Dyno refuses

{names}
"""
_COLUMNS = "| Operation | Standing | What is missing | Shown by |\n|---|---|---|---|\n"
_NAMES = {
    Api.S3: "S3",
    Api.LOGS: "CloudWatch Logs",
    Api.METRICS: "CloudWatch",
    Api.STS: "STS",
    Api.IAM: "IAM",
    Api.SCALING: "Application Auto Scaling",
}
# Where a call of an operation's name is looked for, in this order.
_SUITES = ("conformance", "e2e", "clients")
_REFUSALS = ("_not_", "_no_", "cannot", "refused", "taken", "unknown", "only_when", "needs", "excludes")


@dataclass(frozen=True, slots=True)
class _Test:
    """A test function, and the methods that it calls; `through`: that what it uses of its file calls."""

    place: str
    calls: frozenset[str]
    through: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """What is about few things comes first; what is about a refusal, last."""
        return any(word in self.place for word in _REFUSALS), self.through, len(self.calls)


def render(tests: Path) -> str:
    """The page, in Markdown. `tests`: the project's directory of tests."""
    known = service()
    shown = _shown_by(tests)
    refused = [name for name in sorted(known.operations) if name not in OPERATIONS]
    entries = [OPERATIONS[name] for name in sorted(OPERATIONS)]
    return _HEAD.format(
        total=len(known.operations),
        version=known.metadata.api_version,
        done=len(entries),
        complete=sum(entry.standing is Standing.COMPLETE for entry in entries),
        refused=len(refused),
        rows=_table(entries, shown),
        others="\n\n".join(f"### {title}\n\n{_table(rows, shown)}" for title, rows in _others()),
        names="\n".join(f"- `{name}`" for name in refused),
    )


def _others() -> Iterator[tuple[str, list[Operation]]]:
    yield _NAMES[Api.S3], [_of_s3(name) for name in sorted(TABLE)]
    for api, table in OPERATIONS_OF.items():
        if api in _NAMES and table:
            yield _NAMES[api], [table[name] for name in sorted(table)]


def _of_s3(name: str) -> Operation:
    model = service(Api.S3)
    asked = model.operations[name].input
    members = model.shapes[asked.shape].members if asked else {}
    left = [member for member in members if member not in TABLE[name].members]
    missing = f"Refused: {', '.join(left)}." if left else ""
    return Operation(name, lambda *_: None, Standing.PARTIAL if missing else Standing.COMPLETE, missing)


def _table(entries: list[Operation], shown: Mapping[str, str]) -> str:
    rows = [
        f"| `{entry.name}` | {entry.standing} | {entry.missing.replace('|', '&#124;')} | {_link(shown, entry.name)} |"
        for entry in entries
    ]
    return _COLUMNS + "\n".join(rows)


def _link(shown: Mapping[str, str], name: str) -> str:
    place = shown.get(xform_name(name))
    return f"`{place}`" if place else ""


def _shown_by(tests: Path) -> dict[str, str]:
    """By a method's name the test that shows it best."""
    best: dict[str, _Test] = {}
    for suite in _SUITES:
        found: dict[str, _Test] = {}
        for path in sorted((tests / suite).glob("test_*.py")):
            for test in _tests(path, f"{tests.name}/{suite}/{path.name}"):
                for method in test.calls:
                    if method not in found or test.rank < found[method].rank:
                        found[method] = test
        best = found | best
    return {method: test.place for method, test in best.items()}


def _tests(path: Path, shown: str) -> Iterator[_Test]:
    body = ast.parse(path.read_text()).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name, node in functions.items():
        if not name.startswith("test_"):
            continue
        yield _Test(f"{shown}::{name}", _calls(node))
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        used |= {argument.arg for argument in node.args.args}
        behind = [_calls(functions[other]) for other in used & functions.keys()]
        if behind:
            yield _Test(f"{shown}::{name}", frozenset().union(*behind), through=True)


def _calls(node: ast.AST) -> frozenset[str]:
    names = {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
    words = {inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)}
    return frozenset(names | {word for word in words if isinstance(word, str)})


if __name__ == "__main__":
    sys.stdout.write(render(Path("tests")))
