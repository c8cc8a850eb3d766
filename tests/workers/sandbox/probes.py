"""What a completion must find closed. Each expression is true in a sandbox that holds.

`refused(f)` is whether f raises OSError or its like; `call(name, …)` makes a system call by its number and gives its
errno, 0 where it worked.
"""

ROOT = "bin dev lib lib64 sandbox tmp usr root home opt"  # of which some lead to the interpreter
DEVICES = "null zero full random urandom"
PRELUDE = """
import ctypes, errno, mmap, os, resource, signal, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {numbers!r}
def refused(action):
    try: action()
    except (OSError, ImportError, ValueError): return True
    return False
def call(name, *arguments):
    ctypes.set_errno(0)
    return ctypes.get_errno() if libc.syscall(NUMBERS[name], *arguments) < 0 else 0
def written(path):
    with open(path, 'w') as file: file.write('x')
def probe(): return bool({expression})
"""
# x86_64; the probes that need a number are skipped elsewhere.
NUMBERS = {
    "ptrace": 101, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "clone3": 435, "bpf": 321, "perf_event_open": 298, "keyctl": 250, "add_key": 248, "io_uring_setup": 425,
    "userfaultfd": 323, "memfd_create": 319, "process_vm_readv": 310, "process_vm_writev": 311, "personality":
    135, "sethostname": 170, "settimeofday": 164, "reboot": 169, "init_module": 175, "kexec_load": 246,
    "syslog": 103, "shmget": 29, "msgget": 68, "open_by_handle_at": 304, "fanotify_init": 300, "socket": 41,
    "clone": 56, "pidfd_getfd": 438, "mq_open": 240,
}  # fmt: skip

NETWORK = {
    "a TCP socket": "refused(lambda: socket.socket())",
    "a UDP socket": "refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))",
    "a raw socket": "refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))",
    "a Unix socket": "refused(lambda: socket.socket(socket.AF_UNIX))",
    "a netlink socket": "refused(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))",
    "the worker's port": "refused(lambda: socket.create_connection(('127.0.0.1', {port}), 1))",
    "a name looked up": "refused(lambda: socket.getaddrinfo('localhost', 80))",
    "network devices": "refused(lambda: os.listdir('/sys/class/net'))",
}
FILES = {
    "the host's folders": f"set(os.listdir('/')) <= set({ROOT!r}.split())",
    "the worker's folder": "refused(lambda: os.listdir({folder!r}))",
    "a file that the worker may read": "refused(lambda: open({canary!r}))",
    "/etc/passwd": "refused(lambda: open('/etc/passwd'))",
    "/etc/shadow": "refused(lambda: open('/etc/shadow'))",
    "/proc": "refused(lambda: os.listdir('/proc'))",
    "the first process's environment": "refused(lambda: open('/proc/1/environ'))",
    "another's memory": "refused(lambda: open('/proc/1/mem', 'r+b'))",
    "/sys": "refused(lambda: os.listdir('/sys'))",
    "/dev but five harmless ones": f"set(os.listdir('/dev')) == set({DEVICES!r}.split())",
    "writing to /": "refused(lambda: written('/x'))",
    "writing to /usr": "refused(lambda: written('/usr/x'))",
    "writing to /dev": "refused(lambda: written('/dev/x'))",
    "writing to the interpreter": "refused(lambda: written(os.__file__))",
    "writing to the sandbox's code": "refused(lambda: written('/sandbox/workers/sandbox/inside/wire.py'))",
    "a folder of one's own": "refused(lambda: os.mkdir('/new'))",
    "/dev/shm": "refused(lambda: written('/dev/shm/x'))",
    "a device": "refused(lambda: os.mknod('/tmp/disk', stat.S_IFBLK | 0o600, os.makedev(8, 0)))",
    "a link out of /tmp": "os.symlink('/etc/passwd', '/tmp/l') is None and refused(lambda: open('/tmp/l'))",
    "a program that is root's": "os.system('su -c true </dev/null >/dev/null 2>&1') != 0",
}
IDENTITY = {
    "root": "os.getuid() != 0 and os.geteuid() != 0 and os.getgid() != 0",
    "becoming root": "refused(lambda: os.setuid(0))",
    "becoming another slot": "refused(lambda: os.setuid(os.getuid() + 1))",
    "groups": "refused(lambda: os.setgroups([0]))",
    "capabilities": "libc.prctl(24, 21) != 0 or refused(lambda: os.chown('/tmp', 0, 0))",
    "new privileges": "libc.prctl(39, 0, 0, 0, 0) == 1",
    "a filter of its own choice": "libc.prctl(21, 0, 0, 0, 0) == 2",
    "higher limits": "refused(lambda: resource.setrlimit(resource.RLIMIT_NPROC, (999, 999)))",
    "more priority": "refused(lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))",
    "the environment of the worker": "not {secret!r} in ' '.join(os.environ.values())",
    "descriptors of the worker": "not [n for n in range(4, 1024) if not refused(lambda: os.fstat(n))]",
    "the processes of the host": "refused(lambda: os.kill({pid}, 0))",
    "many processes": "os.sysconf('SC_CHILD_MAX') <= 32",
    "its first process": "os.kill(1, signal.SIGKILL) is None and os.getppid() == 1",
}
CALLS = {
    **{
        name: f"call({name!r}, 0, 0, 0, 0, 0) == errno.EPERM"
        for name in sorted(set(NUMBERS) - {"clone3", "clone", "socket"})
    },
    "clone3": "call('clone3', 0, 0) == errno.ENOSYS",
    "a user namespace": "call('clone', 0x10000000 | 17, 0, 0, 0, 0) == errno.EPERM",
    "a mount namespace": "call('clone', 0x00020000 | 17, 0, 0, 0, 0) == errno.EPERM",
    "an internet pair": "refused(lambda: socket.socketpair(socket.AF_INET))",
    "a large pipe": "refused(lambda: __import__('fcntl').fcntl(os.pipe()[0], 1031, 1 << 20))",
    "typing at the terminal": "refused(lambda: __import__('fcntl').ioctl(0, 0x5412, b'x'))",
}
# Harmless outside too, where each of them must find the door open: else it would prove nothing.
OPEN_OUTSIDE = (
    "a TCP socket", "a UDP socket", "a Unix socket", "the worker's port", "network devices", "the host's folders",
    "the worker's folder", "a file that the worker may read", "/etc/passwd", "/proc", "/sys",
    "/dev but five harmless ones",
    "a link out of /tmp", "new privileges", "a filter of its own choice", "the environment of the worker",
    "the processes of the host",
    "a large pipe", "memfd_create", "shmget",
)  # fmt: skip


def completion(expression: str, **found: object) -> str:
    """A completion whose `probe()` evaluates the expression, with what the host knows about itself filled in."""
    return PRELUDE.format(numbers=NUMBERS, expression=expression.format(**found))
