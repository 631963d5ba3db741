"""Tags of whatever has an ARN of ours. Assumptions A-0027, A-0028."""

from __future__ import annotations

from modeldyno.domain.errors import InvalidRequest, LimitExceeded, ResourceNotFound
from modeldyno.domain.names import JOB, arn_of, parse_arn
from modeldyno.domain.resource import Cursor, Kind
from modeldyno.operations.context import Context
from modeldyno.operations.pagination import read_token, write_token
from modeldyno.operations.shapes import Shape, integer, name, structs, texts

PAGE = 50
"""Tags of a page when MaxResults is absent: the least that the service model allows to ask for."""
MAX_TAGS = 50
"""Source: botocore shape TagList."""


def add(context: Context, params: Shape) -> Shape:
    """Add or overwrite tags; all tags after."""
    arn = _tagged(context, name(params, "ResourceArn"))
    try:
        together = context.store.set_tags(arn, new_tags(params), MAX_TAGS)
    except LimitExceeded as error:
        raise InvalidRequest(str(error)) from None
    return {"Tags": tag_shapes(together)}


def list_tags(context: Context, params: Shape) -> Shape:
    """Tags in order of their keys."""
    tags = context.store.tags(_tagged(context, name(params, "ResourceArn")))
    after = read_token(context, "ListTags", params, str)
    left = {key: value for key, value in tags.items() if after is None or key > str(after.value)}
    shown = dict(list(left.items())[: integer(params, "MaxResults") or PAGE])
    cursor = Cursor(list(shown)[-1], 0) if len(left) > len(shown) else None
    return {"Tags": tag_shapes(shown), "NextToken": write_token(context, "ListTags", params, cursor)}


def delete(context: Context, params: Shape) -> Shape:
    """Remove those tags that are there."""
    context.store.remove_tags(_tagged(context, name(params, "ResourceArn")), texts(params, "TagKeys"))
    return {}


def new_tags(params: Shape) -> dict[str, str]:
    """The Tags of a request.

    Raises:
        InvalidRequest: a key is given twice or begins with the reserved ``aws:``.
    """
    tags: dict[str, str] = {}
    problems = []
    for tag in structs(params, "Tags"):
        key = name(tag, "Key")
        if key in tags:
            problems.append(f"The tag key '{key}' is given more than once.")
        if key.lower().startswith("aws:"):
            problems.append(f"The tag key '{key}' is not allowed: keys that begin with aws: are reserved.")
        tags[key] = name(tag, "Value")
    if problems:
        raise InvalidRequest(problems)
    return tags


def _tagged(context: Context, text: str) -> str:
    """The ARN as we keep it, of something that exists; account numbers of callers are not checked."""
    arn = parse_arn(text)
    if arn is None or arn.region != context.region or not _exists(context, arn.type, arn.name):
        raise InvalidRequest(f'Could not find resource "{text}".')
    return arn_of(arn.type, context.region, context.account, arn.name)


def _exists(context: Context, type_: str, resource_name: str) -> bool:
    try:
        if type_ == JOB:
            context.store.job(context.region, resource_name)
        elif type_ in frozenset(Kind):
            context.store.resource(Kind(type_), context.region, resource_name)
        else:
            return False
    except ResourceNotFound:
        return False
    return True


def tag_shapes(tags: dict[str, str]) -> list[Shape]:
    """Tags in the wire's shape."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
