"""The first program of an instance: puts itself under the limits, gives up its rights and becomes the model server.

Run by path with ``python -I -S``; imports the standard library only, so that it starts in some 20 ms. It reads what to
do from stdin as JSON and tells what it did as JSON on the descriptor `report_fd`, which closes when the server's own
program begins:

- ``join``: files of cgroups to enter; ``cores``: affinity; ``parent``: whose death ends us;
- ``base``: the instance's BASE_DIR; ``binds``: directory -> shown read-only at; ``private``: make a mount namespace;
- ``readable``: what an unprivileged user must be able to read, ``trees``: whole trees of it;
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
_CLONE_NEWNS = 0x20000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 24, 38, 47
_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2
_CAPABILITIES = 64  # the kernel's set has room for so many; it knows fewer and refuses the rest
_OPEN_FILES = 65536
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
        if todo["private"]:
            make_private(todo["base"], todo["binds"], todo["readable"])
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


def _die_with(parent: int) -> None:
    """Be killed when the parent dies; it may have died before we asked."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)


# --- mounts ----------------------------------------------------------------------------------------------------------


def make_private(base: str, binds: dict[str, str], needed: Iterable[str]) -> None:
    """A mount namespace of our own: `binds` read-only, `base` at /opt/ml, /tmp private where nothing needed lies there,
    and the cgroup trees read-only. It ends with its last process and leaves nothing on the host."""
    if _libc.unshare(_CLONE_NEWNS):
        _fail("unshare")
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    for source, target in binds.items():
        _mount(source, target, _MS_BIND | _MS_REC)
        _mount(None, target, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    for point in _cgroup_mounts():
        with contextlib.suppress(OSError):
            _mount(None, point, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    _show_opt_ml(base)
    if not any(path == "/tmp" or path.startswith("/tmp/") for path in map(os.path.realpath, [*needed, *binds, base])):
        _mount(os.path.join(base, "tmp"), "/tmp", _MS_BIND)


def _show_opt_ml(base: str) -> None:
    """Where the host has no /opt/ml to mount on, /opt becomes a copy of itself, made of mounts, that has."""
    if os.path.isdir(OPT_ML):
        _mount(base, OPT_ML, _MS_BIND | _MS_REC)
        return
    copy = os.path.join(os.path.dirname(base), "opt")
    os.mkdir(copy)
    _mount("tmpfs", copy, 0, "tmpfs")
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


def _mount(source: str | None, target: str, flags: int, kind: str | None = None) -> None:
    coded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    if _libc.mount(*coded, ctypes.c_ulong(flags), None):
        _fail(f"mount on {target}")


# --- rights ----------------------------------------------------------------------------------------------------------


def _give_up_rights(todo: dict[str, Any]) -> dict[str, str]:
    """Become the least user that can reach what the server needs; whom, in words."""
    if os.geteuid() != 0:
        return {"user": "own"}
    name, user, group, kept = least_user(todo)
    if user != 0:
        _give_away(todo["base"], user, group)
    _become(user, group, kept)
    return {"user": name}


def least_user(todo: dict[str, Any]) -> tuple[str, int, int, int | None]:
    """Name, user, group and the one capability kept, of the least user that can reach what is needed."""
    for candidate in _candidates(todo["command"][0]):
        if _can_reach(todo, *candidate[1:]):
            return candidate
    raise PermissionError(f"no user of this host can read {', '.join(todo['readable'])}")


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
            good = os.access(todo["command"][0], os.X_OK) and all(map(_readable, todo["readable"]))
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


def _probe(base: str) -> None:
    """Only make the mounts, and say on stdout why it does not work."""
    try:
        make_private(base, {}, ())
    except OSError as error:
        sys.stdout.write(str(error.strerror))


if __name__ == "__main__":
    _probe(sys.argv[1]) if len(sys.argv) > 1 else main()
