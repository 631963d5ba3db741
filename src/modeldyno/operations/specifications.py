"""Additional inference specifications of a package, as an Advanced job measures them beside each other.

Assumption A-0106.
"""

from __future__ import annotations

from collections.abc import Collection

from modeldyno.domain.errors import InvalidRequest, UnsupportedRequest
from modeldyno.domain.job import Specification
from modeldyno.operations.context import Context
from modeldyno.operations.shapes import Shape, struct, text
from modeldyno.operations.sources import find_package, model_source, overridden, source_of_package


def additional_specifications(
    context: Context, config: Shape, names: Collection[str], sent: str | None, problems: list[str]
) -> dict[str, Specification]:
    """Those of these names of the job's package, which must take the payload's content type `sent`; what is wrong with
    them goes into `problems`."""
    package_arn = text(config, "ModelPackageVersionArn")
    if names and package_arn is None:
        problems.append("InferenceSpecificationName names a specification of a package: give ModelPackageVersionArn.")
    if not names or package_arn is None:
        return {}
    package = find_package(context, package_arn)
    found: dict[str, Specification] = {}
    for name in sorted(names):
        try:
            told = source_of_package(package, name)
            source = overridden(told, struct(config, "ContainerConfig"))
            model = model_source(context, source, None, package.arn)
        except UnsupportedRequest as refusal:
            problems.append(f"The inference specification {name}: {refusal}")
            continue
        except InvalidRequest as refusal:
            problems.extend(refusal.violations)
            continue
        if told.content_types and sent not in told.content_types:
            problems.append(
                f"The inference specification {name} supports {', '.join(told.content_types)}; the payload is {sent}."
            )
        found[name] = Specification(model, next(iter(source.response_types), None))
    return found
