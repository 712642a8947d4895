"""Limit what the process that decodes pictures may do, using only the operating system.

No limit needs another program or more rights. On a system that does not have one of them, the others apply.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from pathlib import Path

MAX_STDERR_BYTES = 64 * 1024
"""The most that a process may write to its standard error or any file: libtiff writes a line for each damaged row."""

# From linux/prctl.h, linux/seccomp.h and linux/audit.h.
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_SIGKILL = 9

_DENIED = {
    # (x86_64, aarch64), from asm/unistd_64.h and asm-generic/unistd.h; None if the architecture does not have it.
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "creat": (85, None), "truncate": (76, 45),
    # The consumer writes to the shared file: it would get SIGBUS beyond its end.
    "ftruncate": (77, 46),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "clone": (56, 220),
    "clone3": (435, 435), "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "mount": (165, 40),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "mkdir": (83, None),
    "mkdirat": (258, 34), "mknod": (133, None), "mknodat": (259, 33), "rmdir": (84, None), "chmod": (90, None),
    "fchmodat": (268, 53), "chown": (92, None), "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5),
    "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "perf_event_open": (298, 241), "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265),
}  # fmt: skip


def protect_server() -> None:
    """Prevent this process and its children from getting more rights, and others from reading their memory."""
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)


def end_with_parent(parent: int) -> None:
    """Have the system kill this process when its parent ends. End it now if the parent has ended already."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def restrict(open_files: int) -> None:
    """Deny this process, from now on, any file but its first ``open_files``, other processes and the network."""
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, MAX_STDERR_BYTES),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, open_files),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))
    machine = platform.machine()
    if sys.platform == "linux" and machine in _ARCHITECTURES:
        _deny_calls(*_ARCHITECTURES[machine])


def address_space() -> int:
    """Return the bytes of address space that this process uses, or 0 if it is unknown: without /proc, as on macOS."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def limit_address_space(size: int) -> None:
    """Make allocations beyond ``size`` bytes of address space fail."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))


def _prctl(option: int, *arguments: int) -> None:
    """Call prctl(2). A refusal is ignored: then this protection is missing."""
    given = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    ctypes.CDLL(None).prctl(option, *given)


def _deny_calls(architecture: int, column: int) -> None:
    """Make the system calls in _DENIED fail with EPERM (seccomp(2)), and all calls of another architecture."""
    denied = sorted(number for numbers in _DENIED.values() if (number := numbers[column]) is not None)
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
    program = [(load, 0, 0, 4), (equal, 0, len(denied) + 3, architecture), (load, 0, 0, 0)]
    program += [(at_least, len(denied) + 1, 0, 0x40000000)]  # calls of x32
    program += [(equal, len(denied) - place, 0, number) for place, number in enumerate(denied)]
    program += [(answer, 0, 0, _ALLOW), (answer, 0, 0, _EPERM)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filter_))
