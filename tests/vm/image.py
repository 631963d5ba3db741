"""The virtual machine's root: this interpreter, the package, its tests and a busybox, as one initramfs.

**Source:** Linux ``Documentation/driver-api/early-userspace/buffer-format.rst``: the *newc* format of cpio.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_PACKAGES = (
    "pytest*",
    "_pytest",
    "pluggy*",
    "iniconfig*",
    "packaging*",
    "pygments",
    "psutil*",
    "typing_extensions*",
    "py.py",
)
_NOT_NEEDED = frozenset(
    {"__pycache__", "site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "turtledemo"}
)
_PASSWD = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"


def write_image(target: Path, busybox: Path) -> None:
    """Write the initramfs, uncompressed (an emulated processor unpacks slowly)."""
    contents = dict(_contents(busybox))
    libraries = {library for source in contents.values() if isinstance(source, Path) for library in _libraries(source)}
    contents |= {f"lib/{library.name}": library for library in libraries}
    contents["lib64/ld-linux-x86-64.so.2"] = Path("/lib64/ld-linux-x86-64.so.2").resolve()
    with target.open("wb") as image:
        directories = sorted({str(parent) for name in contents for parent in Path(name).parents} - {"."})
        for number, name in enumerate([*directories, *contents, "TRAILER!!!"], start=1):
            source = contents.get(name)
            data = source.read_bytes() if isinstance(source, Path) else source or b""
            image.write(_member(number, name, _mode(name, source), data))


def _contents(busybox: Path) -> Iterator[tuple[str, Path | bytes]]:
    inside = Path(__file__).parent / "inside"
    yield "init", (inside / "init").read_bytes()
    yield "bin/busybox", busybox
    yield "etc/passwd", _PASSWD
    yield f"usr/bin/{_VERSION}", Path(sys.executable).resolve()
    yield from _tree(Path(sysconfig.get_path("stdlib")), f"usr/lib/{_VERSION}")
    site = Path(sysconfig.get_path("purelib"))
    for pattern in _PACKAGES:
        for found in site.glob(pattern):
            yield from _tree(found, f"usr/lib/site/{found.name}")
    yield from _tree(inside, "inside")
    yield "repo/pyproject.toml", REPOSITORY / "pyproject.toml"
    yield "repo/tests/conftest.py", REPOSITORY / "tests/conftest.py"
    yield from _tree(REPOSITORY / "src/modeldyno", "repo/src/modeldyno")
    yield "repo/tests/contracts/test_instances.py", REPOSITORY / "tests/contracts/test_instances.py"
    for path in (REPOSITORY / "tests/unit/instances").glob("*.py"):
        if not path.name.startswith(("test_environments", "test_images")):
            yield f"repo/tests/unit/instances/{path.name}", path


def _tree(source: Path, name: str) -> Iterator[tuple[str, Path]]:
    if source.is_file():
        yield name, source
        return
    for directory, names, files in os.walk(source):
        names[:] = [one for one in names if one not in _NOT_NEEDED or "pytest" in directory]
        for file in files:
            path = Path(directory, file)
            if path.is_file() and path.suffix not in (".pyc", ".a"):
                yield f"{name}/{path.relative_to(source)}", path


def _libraries(binary: Path) -> Iterator[Path]:
    """What the dynamic linker would load for it."""
    if ".so" not in binary.name and not binary.name.startswith("python"):
        return
    listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        path = line.partition("=> ")[2].partition(" (")[0]
        if path.startswith("/"):
            yield Path(path)


def _mode(name: str, source: Path | bytes | None) -> int:
    if source is None and name != "TRAILER!!!":
        return stat.S_IFDIR | 0o755
    executable = name == "init" or (isinstance(source, Path) and os.access(source, os.X_OK))
    return stat.S_IFREG | (0o755 if executable else 0o644)


def _member(number: int, name: str, mode: int, data: bytes) -> bytes:
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
