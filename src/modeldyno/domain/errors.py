"""The tree of what can go wrong. It knows no HTTP; `wire.faults` is the table from it to AWS codes.

DynoError
├── RequestError            the caller's fault; nothing was changed
│   ├── MalformedRequest    not a readable request at all, or a member of the wrong type
│   ├── InvalidRequest      readable, but breaks one or more rules (each is a line)
│   ├── UnsupportedRequest  AWS has it, Dyno does not (yet); names what
│   │   └── UnknownOperation    a whole operation, be it one of AWS's or none
│   ├── ResourceNotFound    no such job, package, ...
│   ├── ResourceInUse       the name is taken
│   ├── Conflict            not in this state
│   ├── LimitExceeded       over a quota
│   └── AccessRefused       not signed, or not with a key that is known here; says which of AWS's reasons
├── TrialFailure            one trial ends FAILED with this reason; the job goes on
│   ├── HostCannot          this host cannot be that instance type
│   ├── ModelFault          the user's model server exited, hung, answered 5xx, ate its memory
│   └── InputFault          the model archive or payload cannot be used
├── ObjectError             bytes that are not there or may not be read
└── ServiceError            Dyno's own surroundings: port busy, data directory in use, schema too new
    └── StoreUnreachable    the database cannot be used just now
        └── StoreFull       it has no room: its disk is full
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum


class DynoError(Exception):
    """Anything Dyno raises on purpose. `str(error)` is one clear sentence for the person at the other end."""


class RequestError(DynoError):
    """The caller's request cannot be carried out; nothing was changed."""


class MalformedRequest(RequestError):
    """The request is not readable: not JSON, not an object, or a member has the wrong type."""


class InvalidRequest(RequestError):
    """The request breaks one or more rules.

    `violations` holds one text per broken rule, in AWS's wording where it has one
    (``Value 'x' at 'a.b' failed to satisfy constraint: ...``). A single free-text message is one violation with
    ``constraint=False`` and is sent as it stands.
    """

    def __init__(self, violations: str | Sequence[str], *, constraint: bool = False) -> None:
        self.violations: tuple[str, ...] = (violations,) if isinstance(violations, str) else tuple(violations)
        if constraint:
            count = len(self.violations)
            noun = "error" if count == 1 else "errors"
            super().__init__(f"{count} validation {noun} detected: {'; '.join(self.violations)}")
        else:
            super().__init__("; ".join(self.violations))


class InvalidCombination(InvalidRequest):
    """Members that are right each by itself, and not together."""


class UnsupportedRequest(RequestError):
    """AWS has this operation or field and Dyno does not; the message names it."""


class UnknownOperation(UnsupportedRequest):
    """The operation as a whole is not here: Dyno does not have it yet, or nobody does; the message names it."""


class ResourceNotFound(RequestError):
    """No resource of that name."""


class ResourceInUse(RequestError):
    """The name is taken."""


class Conflict(RequestError):
    """The resource is not in a state that allows this."""


class LimitExceeded(RequestError):
    """Over a quota."""


class AccessProblem(Enum):
    """Why a caller is not let in."""

    MISSING = "not signed"
    INCOMPLETE = "the signature cannot be read, or leaves out what must be signed"
    UNKNOWN_KEY = "no such key"
    MISMATCH = "the signature is another"
    SKEWED = "signed too long ago, or in the future"
    OVER = "a presigned URL that is over"


class AccessRefused(RequestError):
    """The caller is not let in; `problem` says why, in terms that have a code of AWS's."""

    def __init__(self, problem: AccessProblem, text: str) -> None:
        super().__init__(text)
        self.problem = problem


class TrialFailure(DynoError):
    """One trial ends FAILED with this reason; the job goes on.

    `log_tail` holds the last lines of the model's log where the model is at fault, else is empty.
    """

    def __init__(self, reason: str, log_tail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.log_tail = log_tail


class HostCannot(TrialFailure):
    """This host cannot be that instance type."""


class ModelFault(TrialFailure):
    """The user's model server exited, hung, answered 5xx, failed to start in time or ate its memory."""


class InputFault(TrialFailure):
    """The model archive, payload archive or runtime requirements cannot be used."""


class ObjectError(DynoError):
    """An object is missing, not readable, or its URL is not understood."""


class ServiceError(DynoError):
    """Dyno's surroundings do not allow it to start or go on: port, data directory, schema, configuration."""


class StoreUnreachable(ServiceError):
    """The database cannot be reached, for longer than is waited. What was being done may be tried again."""


class StoreFull(StoreUnreachable):
    """The database has no room for more. Nothing was written; what is stored is whole, and may be read."""
