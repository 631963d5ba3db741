"""The first program of an instance: puts itself under the limits, gives up its rights and becomes the model server.

Run by path with ``python -I -S``; imports the standard library only, so that it starts in some 20 ms. It reads what to
do from stdin as JSON and tells what it did as JSON on the descriptor `report_fd`, which closes when the server's own
program begins:

- ``join``: files of cgroups to enter; ``cores``: affinity; ``parent``: whose death ends us, null: nobody's;
- ``base``: the instance's BASE_DIR, ``seen_base``: where the server sees it; ``private``: make a mount namespace;
  ``binds``: directory -> shown read-only at; ``hidden``: directories of which only what is needed is shown;
- ``programs``: files of the command, ``readable``: what else an unprivileged user must be able to read, ``trees``:
  whole trees of it;
- ``command``, ``environment``, ``directory``, ``report_fd``.

**Source:** mount_namespaces(7), capabilities(7), prctl(2).
"""

import contextlib
import ctypes
import json
import os
import pwd
import resource
import signal
import sys
from collections.abc import Iterable
from typing import Any

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_MNT_DETACH = 2
_CLONE_NEWNS = 0x20000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_CAP_AMBIENT_CLEAR_ALL = 4
_READ_ONLY = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2
_CAPABILITIES = 64  # the kernel's set has room for so many; it knows fewer and refuses the rest
_OPEN_FILES = 65536
_LINKS = 40  # the kernel's own limit for one path, path_resolution(7)
OPT_ML = "/opt/ml"  # where the container contract puts BASE_DIR

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do it all; on any refusal tell it on the report and end with status 127."""
    todo = json.load(sys.stdin)
    report = os.fdopen(todo["report_fd"], "w")
    os.set_inheritable(report.fileno(), False)
    try:
        _die_with(todo["parent"])
        _enter(todo["join"], todo["cores"])
        os.umask(0o022)
        if todo["private"]:
            make_private(todo)
        notes = _give_up_rights(todo)
        _die_with(todo["parent"])  # a change of user takes the wish back
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _set_bounds()
        _restore_signals()
        os.chdir(todo["directory"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        report.write(json.dumps(notes) + "\n")
        report.flush()
        os.execve(todo["command"][0], todo["command"], todo["environment"])
    except (OSError, ValueError) as error:  # ValueError: a NUL in a variable
        report.write(json.dumps({"error": str(error)}))
        report.flush()
        os._exit(127)


def _enter(join: Iterable[str], cores: Iterable[int]) -> None:
    for path in join:
        with open(path, "w") as procs:
            procs.write("0")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))


def _die_with(parent: int | None) -> None:
    """Be killed when the parent dies; it may have died before we asked."""
    if parent is not None and sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)


# --- mounts ----------------------------------------------------------------------------------------------------------


def make_private(todo: dict[str, Any]) -> None:
    """A mount namespace of our own: `binds` read-only, `base` at /opt/ml, the places for temporary files private where
    nothing needed lies there, the cgroup trees read-only, and what is none of a model's business covered. It ends with
    its last process and leaves nothing on the host."""
    if _libc.unshare(_CLONE_NEWNS):
        _fail("unshare")
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    for source, target in todo["binds"].items():
        _mount(source, target, _MS_BIND | _MS_REC)
        _mount(None, target, _READ_ONLY)
    for point in _cgroup_mounts():
        with contextlib.suppress(OSError):
            _mount(None, point, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    _show_opt_ml(todo["base"])
    needed = [*todo["programs"], *todo["readable"], *todo["binds"], todo["base"]]
    _make_temporary_private(todo["base"], list(map(os.path.realpath, needed)))
    _cover(todo)


def _make_temporary_private(base: str, needed: list[str]) -> None:
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        needed_there = any(path == place or _is_below(path, place) for path in needed)
        if needed_there or os.path.realpath(place) != place or not os.path.isdir(place):
            continue
        if place == "/dev/shm":
            _mount("tmpfs", place, _MS_NOSUID | _MS_NODEV, "tmpfs", "mode=1777")
        else:
            _mount(os.path.join(base, "tmp"), place, _MS_BIND)


def _show_opt_ml(base: str) -> None:
    """Where the host has no /opt/ml to mount on, /opt becomes a copy of itself, made of mounts, that has."""
    if os.path.isdir(OPT_ML):
        _mount(base, OPT_ML, _MS_BIND | _MS_REC)
        return
    copy = os.path.join(os.path.dirname(base), "opt")
    os.mkdir(copy)
    _mount("tmpfs", copy, 0, "tmpfs", "mode=755,size=1m")
    for entry in os.scandir("/opt"):
        target = os.path.join(copy, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
            continue
        if entry.is_dir():
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT))
        _mount(entry.path, target, _MS_BIND | _MS_REC)
    os.mkdir(os.path.join(copy, "ml"))
    _mount(base, os.path.join(copy, "ml"), _MS_BIND | _MS_REC)
    _mount(copy, "/opt", _MS_BIND | _MS_REC)


def _cgroup_mounts() -> list[str]:
    with open("/proc/self/mountinfo") as mounts:
        return [line.split()[4] for line in mounts if line.partition(" - ")[2].startswith("cgroup")]


def _mount(source: str | None, target: str, flags: int, kind: str | None = None, data: str | None = None) -> None:
    source_, target_, kind_, data_ = (
        None if text is None else os.fsencode(text) for text in (source, target, kind, data)
    )
    if _libc.mount(source_, target_, kind_, ctypes.c_ulong(flags), data_):
        _fail(f"mount on {target}")


# --- what a model does not see ---------------------------------------------------------------------------------------


def _cover(todo: dict[str, Any]) -> None:
    """Put an empty directory over each one that user nobody cannot enter but must, and over the `hidden` ones; in it,
    at their old places and read-only, stand the needed things. Where that fails, all is uncovered: another user it is.
    """
    exact = [_trace(path) for path in todo["readable"]]
    programs = [_trace(path) for path in todo["programs"]]
    links = {link for passed, _ in exact + programs for link in passed}
    kept = {real for _, real in exact}
    loose = {real for _, real in programs if not any(real == path or _is_below(real, path) for path in kept)}
    closed = _closed_to_nobody({above for path in links | kept | loose for above in _above(path)})
    hidden = {os.path.realpath(path) for path in todo["hidden"]} - {"/"}
    kept |= {_with_company(path, closed | hidden) for path in loose}
    covered: list[str] = []
    try:
        for directory in [*_outermost(closed), *_outermost(hidden)]:
            if os.path.isdir(directory):  # it is not covered away yet
                _cover_one(directory, _outermost(path for path in kept if _is_below(path, directory)), links, covered)
    except OSError:
        for directory in reversed(covered):
            _libc.umount2(os.fsencode(directory), _MNT_DETACH)


def _cover_one(directory: str, kept: list[str], links: Iterable[str], covered: list[str]) -> None:
    held = {path: os.open(path, os.O_PATH) for path in kept if os.path.exists(path)}
    inside = {link: os.readlink(link) for link in links if _is_below(link, directory) and os.path.islink(link)}
    _mount("tmpfs", directory, _MS_NOSUID | _MS_NODEV, "tmpfs", "mode=755,size=1m")
    covered.append(directory)
    for path, handle in held.items():
        source = f"/proc/self/fd/{handle}"
        os.makedirs(path if os.path.isdir(source) else os.path.dirname(path), exist_ok=True)
        if not os.path.isdir(source):
            os.close(os.open(path, os.O_CREAT))
        _mount(source, path, _MS_BIND | _MS_REC)
        if path != OPT_ML:
            _mount(None, path, _READ_ONLY)
        os.close(handle)
    for link, target in inside.items():
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(target, link)
    _mount(None, directory, _READ_ONLY)


def _closed_to_nobody(directories: Iterable[str]) -> set[str]:
    """Those that user nobody may not enter, whatever lies above them. Tried for real, in a child."""
    handles = {path: os.open(path, os.O_PATH) for path in directories}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return set()
    answer, question = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _become(nobody.pw_uid, nobody.pw_gid, None)
            closed = [path for path, handle in handles.items() if not os.access(".", os.X_OK, dir_fd=handle)]
            with os.fdopen(question, "w") as pipe:
                json.dump(closed, pipe)
        finally:
            os._exit(0)
    os.close(question)
    for handle in handles.values():
        os.close(handle)
    with os.fdopen(answer) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return set(json.loads(told or "[]"))


def _trace(path: str) -> tuple[list[str], str]:
    """The symbolic links on the way to a path, and its real path."""
    links: list[str] = []
    here, ahead = "/", path.split("/")[::-1]
    while ahead:
        part = ahead.pop()
        step = os.path.normpath(os.path.join(here, part))
        if part != ".." and os.path.islink(step) and len(links) < _LINKS:
            links.append(step)
            ahead += os.readlink(step).split("/")[::-1]
            here = "/" if os.readlink(step).startswith("/") else here
        else:
            here = step
    return links, here


def _with_company(path: str, closed: set[str]) -> str:
    """A program comes with what lies around it: the widest directory below the last that hides it (a virtual
    environment may name the sources beside it, a script its modules)."""
    last = max((above for above in _above(path) if above in closed), key=len, default=None)
    return path if last is None else os.path.join(last, os.path.relpath(path, last).split("/")[0])


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts))]


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory + "/")


def _outermost(paths: Iterable[str]) -> list[str]:
    found: list[str] = []
    for path in sorted(paths):
        if not any(path == other or _is_below(path, other) for other in found):
            found.append(path)
    return found


# --- rights ----------------------------------------------------------------------------------------------------------


def _give_up_rights(todo: dict[str, Any]) -> dict[str, str]:
    """Become the least user that can reach what the server needs; whom, in words."""
    if os.geteuid() != 0:
        return {"user": "own"}
    name, user, group, kept = least_user(todo)
    if user != 0:
        _give_away(todo["seen_base"], user, group)
    _become(user, group, kept)
    return {"user": name}


def least_user(todo: dict[str, Any]) -> tuple[str, int, int, int | None]:
    """Name, user, group and the one capability kept, of the least user that can reach what is needed."""
    for candidate in _candidates(todo["command"][0]):
        if _can_reach(todo, *candidate[1:]):
            return candidate
    needed = [*todo["programs"], *todo["readable"]]
    raise PermissionError(f"no user of this host can read {', '.join(needed)}")


def _candidates(program: str) -> Iterable[tuple[str, int, int, int | None]]:
    """The least privileged first."""
    with contextlib.suppress(KeyError):
        nobody = pwd.getpwnam("nobody")
        yield "nobody", nobody.pw_uid, nobody.pw_gid, None
    owner = os.stat(program)
    if owner.st_uid != 0:
        yield "owner", owner.st_uid, owner.st_gid, None
    yield "root", 0, 0, None
    yield "root-reading", 0, 0, _CAP_DAC_READ_SEARCH


def _can_reach(todo: dict[str, Any], user: int, group: int, kept: int | None) -> bool:
    """Tried for real, in a child that has become that user."""
    child = os.fork()
    if child == 0:
        try:
            _become(user, group, kept)
            good = os.access(todo["command"][0], os.X_OK) and all(
                map(_readable, [*todo["programs"], *todo["readable"]])
            )
            os._exit(0 if good and all(map(_readable, _walk(todo["trees"]))) else 1)
        except BaseException:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK) or os.path.islink(path)


def _walk(trees: Iterable[str]) -> Iterable[str]:
    for tree in trees:
        for directory, _, files in os.walk(tree):
            yield directory
            yield from (os.path.join(directory, name) for name in files)


def _give_away(base: str, user: int, group: int) -> None:
    for path in (base, os.path.join(base, "work"), os.path.join(base, "tmp")):
        os.chown(path, user, group)


def _become(user: int, group: int, kept: int | None) -> None:
    """Change the user and drop every capability but `kept`, for us and for whatever we will execute."""
    for capability in range(_CAPABILITIES):
        if capability != kept:
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    _libc.prctl(_PR_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    mask = 0 if kept is None else 1 << kept
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)  # effective, permitted, inheritable; low words, then high
    if _libc.capset(header, sets):
        _fail("capset")


def _set_bounds() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))


def _restore_signals() -> None:
    """Python ignores some; what is ignored or blocked would stay so in the server."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux" and _libc.prctl(option, value, 0, 0, 0):
        _fail("prctl")


def _fail(what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")


def probe() -> None:
    """Say on stdout, as JSON, why mounts cannot be made (null: they can) and which user would be the server's."""
    todo = json.load(sys.stdin)
    why = None
    try:
        make_private(todo)
    except OSError as error:
        why = error.strerror
    json.dump({"mounts": why, "user": least_user(todo)[0]}, sys.stdout)


if __name__ == "__main__":
    probe() if len(sys.argv) > 1 else main()
