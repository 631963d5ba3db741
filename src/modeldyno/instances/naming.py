"""How a tag becomes the name of a directory and of a cgroup, and back."""

from __future__ import annotations

from urllib.parse import quote, unquote

from modeldyno.ports import Tag

TAG_VARIABLE = "DYNO_TAG"
_PREFIX = "dyno+"  # '+' is quoted inside the parts, harmless in file names, and no part of PATH-like lists


def directory_name(tag: Tag) -> str:
    """One file name for ever: ``dyno+installation+worker+unit+attempt``, each part quoted."""
    return owner_prefix(tag.installation, tag.worker) + f"{quote(tag.unit, safe='')}+{tag.attempt}"


def owner_prefix(installation: str, worker: str) -> str:
    """What the names of everything that belongs to one worker begin with."""
    return f"{_PREFIX}{quote(installation, safe='')}+{quote(worker, safe='')}+"


def tag_text(name: str) -> str | None:
    """`str(tag)` of a name made by `directory_name`; None for any other name."""
    parts = name.removeprefix(_PREFIX).split("+")
    if not name.startswith(_PREFIX) or len(parts) != 4:
        return None
    return "/".join(unquote(part) for part in parts)
