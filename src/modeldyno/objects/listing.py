"""The keys below a directory in S3's order, page by page, without looking at more than the page needs.

Keys are ordered by their bytes, so a directory sorts as its name with a slash behind it. What lies wholly before where
a page begins is not entered.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from modeldyno.ports.buckets import Listing, ObjectFacts

# What an object is called while the object store writes it. Source: Apache Arrow's object_store, LocalFileSystem.
_STAGED = re.compile(r"#[0-9]+$")

# Of a folder, errors that mean that nothing is in it: there is none, or none can be.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)

See = Callable[[str, os.stat_result], ObjectFacts]


def listed(folder: Path, prefix: str, delimiter: str, after: str, limit: int, see: See) -> Listing:
    """One page of at most `limit` objects and common prefixes."""
    objects: list[ObjectFacts] = []
    prefixes: list[str] = []
    last: str | None = None
    for key, entry in _keys(folder, prefix, _begin(after, delimiter, prefix), once=delimiter == "/"):
        common = _common(key, prefix, delimiter)
        if common is not None and prefixes and prefixes[-1] == common:
            continue
        if len(objects) + len(prefixes) == limit:
            return Listing(objects, prefixes, last)
        if common is not None:
            prefixes.append(common)
            last = common
            continue
        try:
            objects.append(see(key, entry.stat()))
            last = key
        except FileNotFoundError:
            continue  # it has gone meanwhile
    return Listing(objects, prefixes, None)


def _begin(after: str, delimiter: str, prefix: str) -> str:
    """Behind a common prefix that ended the page before, all that it stands for is passed over."""
    common = _common(after, prefix, delimiter) if after.startswith(prefix) else None
    return after + "\U0010ffff" if common is not None and common == after else after


def _common(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter:
        return None
    cut = key.find(delimiter, len(prefix))
    return None if cut < 0 else key[: cut + len(delimiter)]


def _keys(folder: Path, prefix: str, after: str, *, once: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Keys that begin with `prefix` and come after `after`, in order. `once`: of each directory below the prefix, only
    the first. A prefix that goes out of the folder, as no key does, is that of none."""
    base, slash, _ = prefix.rpartition("/")
    if slash and (not prefix.isprintable() or not {"", ".", ".."}.isdisjoint(base.split("/"))):
        return iter(())
    return _below(folder / base, f"{base}/" if base else "", prefix, after, once=once)


def _below(folder: Path, start: str, prefix: str, after: str, *, once: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(((_coded(start + _shown(entry)), entry) for entry in entries), key=lambda item: item[0])
    except OSError as error:
        if error.errno in _NOTHING:
            return
        raise
    bound, wanted = _coded(after), _coded(prefix)
    for coded, entry in found:
        key = start + _shown(entry)
        if key.endswith("/"):
            if (wanted.startswith(coded) or coded.startswith(wanted)) and (coded > bound or bound.startswith(coded)):
                inner = _below(Path(entry.path), key, prefix, after, once=once)
                yield from itertools.islice(inner, 1) if once and len(coded) > len(wanted) else inner
        elif coded.startswith(wanted) and coded > bound and key.isprintable() and not _STAGED.search(key):
            yield key, entry


def _shown(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}/" if entry.is_dir() else entry.name


def _coded(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
