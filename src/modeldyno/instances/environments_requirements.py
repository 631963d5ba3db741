"""What a script's requirements.txt may name: packages of an index, and files of its own directory.

It comes with the model, from whoever made that, and is read by Dyno: a file elsewhere on this host would be told in
uv's complaint or installed, a variable of Dyno's would be sent to the index that a line names.

**Source:** pip's documentation, *Requirements File Format*; uv's, *Compatibility with pip*: a path in a line is
relative to the working directory, an included file's to the file that includes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from modeldyno.domain.errors import InputFault

BUILD_SETTING = "[environments] build_from_source = true in dyno.toml"

_OPTION = re.compile(
    r"(?P<name>--requirement|--constraint|--editable|--find-links|--index-url|--extra-index-url|--no-binary"
    r"|--only-binary|-[rcefi])[\s=]*(?P<value>.*)"
)
_INCLUDES = ("-r", "--requirement", "-c", "--constraint")
_EDITABLE = ("-e", "--editable")
_BUILDING = ("--no-binary", "--only-binary")
_NAMED = re.compile(r"[\w.-]+\s*(\[[^\]]*\])?\s*@\s*(?P<place>.*)")
_REMOTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def check_requirements(path: Path, may_build: bool) -> None:
    """Refuse what a requirements.txt must not name, before anything reads it. `may_build`: whether packages may be
    built from source, which runs their code.

    Raises:
        InputFault: names the line and the reason.
    """
    seen: set[Path] = set()
    ahead = [path]
    while ahead:
        file = ahead.pop()
        if file in seen or not file.is_file():  # one that is not there is told by uv
            continue
        seen.add(file)
        for line in _lines(file.read_text(encoding="utf-8", errors="replace")):
            ahead += _included(line, file, path.parent, may_build)


def _included(line: str, file: Path, root: Path, may_build: bool) -> Iterator[Path]:
    """Check one line; the files that it includes."""
    if "${" in line or "\0" in line:
        _refuse(line, "it names a variable of Dyno's environment, or has a NUL character")
    option = _OPTION.match(line)
    if option is None:
        if not line.startswith("-"):
            _check_place(line, _place(line), file, root)
        return
    name, value = option["name"], option["value"].strip().strip("'\"")
    if not may_build and name in (*_EDITABLE, *_BUILDING):
        _refuse(line, f"root builds nothing from source ({BUILD_SETTING} allows it)")
    if name not in _BUILDING:
        _check_place(line, _place(value) if name in _EDITABLE else value, file, root)
    if name in _INCLUDES:
        if _REMOTE.match(value):
            _refuse(line, "it includes a file that is not beside it")
        yield file.parent / value.removeprefix("file:")


def _lines(text: str) -> Iterator[str]:
    """Every line by itself and, where lines are continued, the whole, whichever way its parts are joined."""
    parts: list[str] = []
    for physical in [*text.lstrip("\ufeff").splitlines(), ""]:
        line = physical.rstrip().removesuffix("\\")
        parts.append(line)
        if line != physical.rstrip():
            continue
        for candidate in {*parts, "".join(parts), " ".join(parts)}:
            if told := re.split(r"(?:^|\s)#", candidate)[0].strip():
                yield told
        parts = []


def _place(requirement: str) -> str:
    """Where a requirement lies; its name, where that says nothing of a place."""
    bare = re.split(r"\s;|\s--", requirement)[0].strip()
    named = _NAMED.fullmatch(bare)
    return named["place"].strip() if named else bare


def _check_place(line: str, place: str, file: Path, root: Path) -> None:
    """A path must stay inside the code's directory, seen from the file and from the directory."""
    if "file:" in place.lower():
        place = re.split("file:", place, flags=re.IGNORECASE)[-1]
    elif _REMOTE.match(place):
        return
    inside = root.resolve()
    for start in (file.parent, root):
        if not (start / unquote(place)).resolve().is_relative_to(inside):
            _refuse(line, "it names a file outside the code's directory")


def _refuse(line: str, why: str) -> None:
    raise InputFault(f"The script's requirements.txt cannot be installed: its line {line[:200]!r} is refused: {why}.")
