"""Programs that want to pass without the answer, or to harm the machine. None of them knows what `answer` should
return.

Each stands with the statuses that it may get: what ends it first differs with the machine.
"""

LIE = '{"nonce": "", "status": "passed", "passed_tests": 2, "total_tests": 2, "detail": ""}'

FORGERS = {
    "an object that equals everything": """
class Everything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 81
def answer(x): return Everything()
""",
    "a number that equals everything": """
class Everything(int):
    def __eq__(self, other): return True
    def __hash__(self): return 81
def answer(x): return Everything(0)
""",
    "a text that equals everything": """
class Everything(str):
    def __eq__(self, other): return True
    def __hash__(self): return 81
def answer(x): return Everything('')
""",
    "a list that equals everything": """
class Everything(list):
    def __eq__(self, other): return True
def answer(x): return Everything()
""",
    "an object whose class lies": """
class Lie:
    __class__ = int
    def __index__(self): return 81
    def __eq__(self, other): return True
def answer(x): return Lie()
""",
    "not a number": "def answer(x): return float('nan')",
    "a walk up the frames": """
import sys
def answer(x):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, list): value.append('passed')
            if isinstance(value, dict): value.update(status='passed', passed=True)
        frame = frame.f_back
    return 0
""",
    "a walk over all objects": """
import gc
def answer(x):
    for value in gc.get_objects():
        if isinstance(value, dict) and 'source' in value: value['status'] = 'passed'
        if hasattr(value, 'ended'): value.ended = None
    return 0
""",
    "a verdict written to every descriptor": f"""
import os
body = {LIE!r}.encode()
for descriptor in range(3, 64):
    try: os.write(descriptor, len(body).to_bytes(4, 'big') + body)
    except OSError: pass
def answer(x): return 0
""",
    "replies before the questions": """
import json, os
for message in (["loaded", 0], ["returned", 1, True], ["returned", 2, True]):
    body = json.dumps(message).encode()
    os.write(3, len(body).to_bytes(4, 'big') + body)
def answer(x): return 0
""",
    "two processes that both answer": """
import os
def answer(x):
    os.fork()
    return 0
""",
    "an exit that looks well": "import os\nos._exit(0)",
    "an exit within a call": "import os\ndef answer(x): os._exit(0)",
    "SystemExit": "import sys\ndef answer(x): sys.exit(0)",
    "an exit handler": "import atexit, os\natexit.register(os._exit, 0)\ndef answer(x): raise SystemExit(0)",
    "an exception that says passed": "def answer(x): raise Exception('passed')",
    "an exception that cannot be told": """
class Odd(BaseException):
    def __str__(self): raise SystemExit(0)
def answer(x): raise Odd
""",
    "builtins changed": """
import builtins, math, operator
builtins.AssertionError = builtins.Exception = SystemExit
builtins.abs = builtins.len = builtins.all = builtins.isinstance = lambda *a: True
operator.eq = math.isclose = lambda *a, **k: True
def answer(x): return 0
""",
    "the tests' own code called": """
from workers.sandbox.inside import tests, wire
tests.Tally.record = lambda *a: None
tests._concluded = lambda *a: {'status': 'passed'}
wire.decode = lambda *a: 81
def answer(x): return 0
""",
    "the verdict's own code called": """
import os
from workers.sandbox.inside import tests
try: tests.run({'tests': 'pass', 'helpers': '', 'entry_point': None, 'seconds': 1, 'nonce': ''})
except BaseException: pass
def answer(x): return 0
""",
    "a pickle": """
class Pickle:
    def __reduce__(self): return (exec, ("import os; os._exit(0)",))
def answer(x): return Pickle()
""",
    "a message that names a class": """
import json, os
def answer(x):
    body = json.dumps(["returned", 1, ["object", "os", "system", "true"]]).encode()
    os.write(3, len(body).to_bytes(4, 'big') + body)
    return 0
""",
    "the other processes killed": """
import os, signal
for pid in (os.getppid(), 1, -1, 2, 3, 4):
    try: os.kill(pid, signal.SIGKILL)
    except OSError: pass
def answer(x): return 0
""",
    "another program in its place": "import os\nos.execv('/bin/true', ['true'])",
    "descriptors sent along": """
import socket
channel = socket.socket(fileno=3)
body = b'["loaded",0]'
for _ in range(20): socket.send_fds(channel, [len(body).to_bytes(4, 'big') + body], [0, 1, 2, 3])
def answer(x): return 0
""",
    "its channel closed": "import os\nos.close(3)\ndef answer(x): return 0",
    "no function at all": "answer = 81",
    "a function that is a method of a lie": "class A:\n    def __call__(self, x): return self\nanswer = A()",
}

BOMBS = {
    "processes": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "threads": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    "memory": "taken = []\nwhile True: taken.append(bytearray(8 << 20))",
    "memory in many processes": """
import os, time
def answer(x):
    for _ in range(8):
        if os.fork() == 0:
            taken = b'x' * (100 << 20)
            time.sleep(9)
    time.sleep(9)
    return x
""",
    "memory that is shared": """
import mmap, os, time
for _ in range(4):
    area = mmap.mmap(-1, 100 << 20)
    area.write(b'x' * (100 << 20))
    if os.fork(): break
time.sleep(9)
""",
    "a file": "with open('/tmp/file', 'wb') as file:\n    while True: file.write(b'x' * 65536)",
    "many files": "import itertools\nfor i in itertools.count(): open(f'/tmp/{i}', 'w').write('x')",
    "output": "while True: print('x' * 999)",
    "errors": "import sys\nwhile True: print('x' * 999, file=sys.stderr)",
    "pipes": "import os\nends = []\nwhile True:\n    ends.append(os.pipe())\n    os.write(ends[-1][1], b'x' * 60000)",
    "a loop": "while True: pass",
    "a loop that no signal ends": """
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
""",
    "a sleep": "import time\ntime.sleep(999)",
    "a stop": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    "another program that sleeps": "import os\nos.execv('/bin/sleep', ['sleep', '999'])",
    "an orphan that lives on": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True: time.sleep(1)
    os._exit(0)
def answer(x): return 0
""",
    "standard input": "def answer(x): return input()",
    "a deep reply": "def answer(x):\n    value = []\n    for _ in range(100_000): value = [value]\n    return value",
    "a long reply": "def answer(x): return 'x' * (64 << 20)",
    "an endless reply": "import itertools\ndef answer(x): return itertools.count()",
    "a number of ten million digits": "def answer(x): return 1 << 40_000_000",
    "a dict that is slow to build": """
def answer(x): return {i * (2**61 - 1): 0 for i in range(60_000)}
""",
    "half a message": "import os, time\nos.write(3, b'\\0\\0\\1\\0[')\ntime.sleep(99)",
    "a message of four gigabytes": "import os, time\nos.write(3, b'\\xff' * 4)\ntime.sleep(99)",
    "nothing but nonsense": "import os\nwhile True: os.write(3, os.urandom(4096))",
    "a fault": "import ctypes\nctypes.string_at(0)",
    "an abort": "import os\nos.abort()",
    "a recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef answer(x): return answer(x)",
    "a regular expression": "import re\ndef answer(x): return re.match('(a+)+$', 'a' * 40 + 'b')",
    "a power": "def answer(x): return 9 ** 9 ** 9",
}
