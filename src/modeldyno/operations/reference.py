"""docs/reference/operations.md: every operation of the pinned service model and where it stands.

``python -m modeldyno.operations.reference > docs/reference/operations.md`` writes it; a test checks that it is current.
"""

from __future__ import annotations

import sys

from modeldyno.operations.registry import OPERATIONS, OPERATIONS_OF, Operation, Standing
from modeldyno.wire.service import Api, service

_HEAD = """\
# Operations

All {total} operations of the SageMaker API (service model {version}) and where Dyno stands with each:
{done} are done, {complete} of them completely; the other {refused} are refused.

- **complete**: every member of the request is honoured, checked or echoed.
- **partial**: it works, except for what is said beside it. A member that is refused is named in the error; no member
  is dropped in silence.
- **refused**: answered with `UnknownOperationException` and a message that names the operation.

Every request is held against the service model first, all violations in one `ValidationException`; a wrong type is a
`SerializationException`; a member that the model does not know is a violation too.

This page is generated: `python -m modeldyno.operations.reference > docs/reference/operations.md`.

## What Dyno does

| Operation | Standing | What is missing |
|---|---|---|
{rows}

## What Dyno does of other services

At the same URL. What is not in the table is refused by name, as are members that an operation does not honour.
S3 is not here: [keep models in S3](../how-to/s3.md) says what it answers.

| Service | Operation | Standing | What is missing |
|---|---|---|---|
{others}

## What Dyno refuses

{names}
"""


def render() -> str:
    """The page, in Markdown."""
    known = service()
    refused = [name for name in sorted(known.operations) if name not in OPERATIONS]
    entries = [OPERATIONS[name] for name in sorted(OPERATIONS)]
    rows = [f"| {_row(entry)} |" for entry in entries]
    others = [
        f"| {service(api).metadata.service_id} | {_row(done[name])} |"
        for api, done in OPERATIONS_OF.items()
        if api is not Api.SAGEMAKER
        for name in sorted(done)
    ]
    return _HEAD.format(
        total=len(known.operations),
        version=known.metadata.api_version,
        done=len(entries),
        complete=sum(entry.standing is Standing.COMPLETE for entry in entries),
        refused=len(refused),
        rows="\n".join(rows),
        others="\n".join(others),
        names="\n".join(f"- `{name}`" for name in refused),
    )


def _row(entry: Operation) -> str:
    return f"`{entry.name}` | {entry.standing} | {entry.missing.replace('|', '&#124;')}"


if __name__ == "__main__":
    sys.stdout.write(render())
