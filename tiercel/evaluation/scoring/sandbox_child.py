"""The sandbox's own process: `python -I -S sandbox_child.py MEGABYTES WORD SECONDS < program`.

Run by its path and never imported: it uses the standard library alone. It takes namespaces of its
own (users, mounts, processes, network), makes every mount read-only, and then runs the program
as a user without rights.
"""

import contextlib
import ctypes
import os
import resource
import sys

NOT_CONFINED = 125
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 1, 2, 4, 0x4000, 0x40000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_NOBODY = 65534
_MAX_PROCESSES, _MAX_FILE_BYTES, _MAX_FILES = 8, 1 << 20, 64
# A virtual environment may lie under /tmp, which is out of sight there; what it links to is enough.
_INTERPRETER = os.path.realpath(sys.executable)

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def main() -> None:
    """Confine this process, then run the program as a grandchild of it."""
    megabytes, word, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    program = sys.stdin.buffer.read()
    try:
        _confine()
        os.stat(_INTERPRETER)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        os._exit(NOT_CONFINED)
    first = os.fork()
    if not first:
        _end_with_parent()
        _watch(program, word, megabytes, seconds)
    os.waitpid(first, 0)
    os._exit(0)


def _watch(program: bytes, word: str, megabytes: int, seconds: int) -> None:
    """Be the first process of the namespace: when it ends, so does everything in it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        _limit(megabytes, seconds)
        _become(reading, word)
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
        pipe.write(program)
    os.waitpid(child, 0)
    os._exit(0)


def _confine() -> None:
    user, group = os.geteuid(), os.getegid()
    _call(
        "unshare",
        _CLONE_NEWUSER
        | _CLONE_NEWNS
        | _CLONE_NEWPID
        | _CLONE_NEWNET
        | _CLONE_NEWIPC
        | _CLONE_NEWUTS,
    )
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{_NOBODY} {user} 1")
    _write("/proc/self/gid_map", f"{_NOBODY} {group} 1")
    _call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    for place in (b"/tmp", b"/proc"):
        _call("mount", b"tmpfs", place, b"tmpfs", _MS_NOSUID | _MS_NODEV, b"size=16m")
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    reference = ctypes.byref(attributes)
    _call("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, b"/", _AT_RECURSIVE, reference, size)


def _end_with_parent() -> None:
    _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)


def _limit(megabytes: int, seconds: int) -> None:
    _end_with_parent()
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for what, most in (
        (resource.RLIMIT_AS, megabytes << 20),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _MAX_FILE_BYTES),
        (resource.RLIMIT_NOFILE, _MAX_FILES),
        (resource.RLIMIT_NPROC, _MAX_PROCESSES),
    ):
        resource.setrlimit(what, (most, most))


def _become(reading: int, word: str) -> None:
    """Run the program that comes from a pipe: an exec drops the rights of the user namespace."""
    said_at_end = os.dup(1)
    for kept in (reading, said_at_end):
        os.set_inheritable(kept, True)
    with open(os.devnull, "r+b") as nothing:
        for standard in (0, 1, 2):
            os.dup2(nothing.fileno(), standard)
    command = [_INTERPRETER, "-I", "-S", "-c", _HARNESS, str(reading), str(said_at_end), word]
    os.execv(_INTERPRETER, command)


# `__main__` of the program is its own; its last act is the word.
_HARNESS = """
import os, sys
reading, said_at_end, word = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with os.fdopen(reading, "rb") as pipe:
    program = pipe.read()
sys.argv[:] = ["program"]
exec(compile(program, "program", "exec"), {"__name__": "__main__"})
os.write(said_at_end, word.encode())
"""


def _call(function: str, *arguments: object) -> None:
    if getattr(_libc, function)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
