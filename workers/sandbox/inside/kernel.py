"""The system calls that Python has no function for: namespaces, mounts, capabilities, seccomp. Linux alone has them."""

import ctypes
import os
import signal

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x0002_0000, 0x0800_0000, 0x2000_0000
SYS_CLONE = {"x86_64": 56, "aarch64": 220}
MS_NOSUID, MS_NODEV = 2, 4
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LINUX_CAPABILITY_VERSION_3 = 0x2008_0522
BPF_INSTRUCTION = 8  # bytes

# PyDLL keeps the interpreter's lock, as a fork needs it.
_libc = ctypes.PyDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def fork_into_namespaces() -> int:
    """`os.fork`, whose child is the first process of a new PID namespace, with mounts and IPC of its own.

    When that child has been waited for, no process of its namespace is left: the kernel ends and reaps all the
    others first.
    """
    flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | signal.SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = int(_libc.syscall(SYS_CLONE[os.uname().machine], ctypes.c_ulong(flags), None, None, None, None))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    return _checked(pid, "clone")


def mount_tmpfs(path: str, size: int, files: int) -> None:
    """Puts an empty folder in memory at `path`, that anyone may write up to `size` bytes and `files` files in."""
    options = f"size={size},nr_inodes={files},mode=1777".encode()
    result = _libc.mount(b"tmpfs", path.encode(), b"tmpfs", ctypes.c_ulong(MS_NOSUID | MS_NODEV), options)
    _checked(result, f"mount {path}")


def become(uid: int) -> None:
    """Gives up every capability, now and over any exec, as this user, for good."""
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _checked(_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def filter_system_calls(instructions: bytes) -> None:
    """Binds this process and all that it starts to a seccomp filter, compiled BPF."""
    program = _Filter(len(instructions) // BPF_INSTRUCTION, instructions)
    _checked(_prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0), "seccomp")
