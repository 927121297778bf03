# SPDX-License-Identifier: MIT
"""What every figure needs: the build, a private sound server, counting and timing of processes,
and rows of the table that know whether their bound holds."""
import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("XARING_BUILD", os.path.join(SOURCE, "build-bench"))
RATE = 48000
START_S = 60
COMMAND_S = 120
FIGURES = []


class Options:
    """Set by the command line."""
    quick = False


class Failure(Exception):
    """Something that a figure needs does not work."""


def figure(name, text):
    """Registers a function that yields rows."""
    def register(function):
        FIGURES.append((name, text, function))
        return function
    return register


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def pick(full, quick):
    return quick if Options.quick else full


# ---- rows ----

def quartiles(values):
    values = sorted(values)
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


class Row:
    """One line. The bound is one of the ratio where there is a ratio, otherwise of ours; a row
    without a bound informs only."""
    def __init__(self, name, ours, peer=None, ratio=None, bound=None, held=True, unit="",
                 against="", spread=None):
        self.name, self.ours, self.peer, self.ratio = name, ours, peer, ratio
        self.bound, self.held, self.unit, self.against = bound, held, unit, against
        self.spread = spread

    def json(self):
        return {"name": self.name, "ours": self.ours, "peer": self.peer, "ratio": self.ratio,
                "bound": self.bound, "held": self.held, "unit": self.unit,
                "against": self.against, "quartiles": self.spread}


def compared(name, pairs, bound=None, unit="", against=""):
    """Interleaved pairs (ours, peer): the bound is broken when even the lower quartile is above."""
    ratios = [ours / peer for ours, peer in pairs]
    low, median, high = quartiles(ratios)
    return Row(name, statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs),
               median, bound, bound is None or low <= bound, unit, against, [low, high])


def counted(name, ours, bound=None, unit="", against=""):
    """A number that is counted, or a median of many: it is within the bound, or it is not."""
    return Row(name, ours, bound=bound, held=bound is None or ours <= bound, unit=unit,
               against=against)


def exact_ratio(name, ours, peer, bound, unit="", against=""):
    ratio = ours / peer
    return Row(name, ours, peer, ratio, bound, ratio <= bound, unit, against)


def fit(points):
    """The straight line through (x, y): (fixed part, slope)."""
    result = statistics.linear_regression([p[0] for p in points], [p[1] for p in points])
    return result.intercept, result.slope


# ---- build and programs ----

def build():
    """A release build of its own, of what the figures run."""
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        run(["meson", "setup", BUILD, SOURCE, "--buildtype=release", "-Dtests=enabled",
             "-Dalsa=enabled", "-Dpipewire=enabled"])
    run(["ninja", "-C", BUILD])


def run(command, **keywords):
    """Runs a program to its end and returns what it printed."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            check=False, **keywords)
    if result.returncode != 0:
        raise Failure(f"{' '.join(command)}: exit {result.returncode}\n"
                      f"{result.stdout[-2000:]}{result.stderr[-2000:]}")
    return result.stdout


def program(name):
    return os.path.join(BUILD, "tests", "benchmarks", "bench-" + name)


@contextlib.contextmanager
def deadline(process, seconds):
    """Ends the process when the block takes longer: whoever reads from it then sees that."""
    timer = threading.Timer(seconds, process.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Program:
    """A load program: running and warm when the constructor is through."""
    def __init__(self, command, env=None, ready="ready", stderr=None):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        stderr=stderr, text=True, env=env)
        with deadline(self.process, START_S):
            if ready and self.process.stdout.readline().strip() != ready:
                self.process.kill()
                raise Failure(f"{' '.join(command)}: did not start")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Ends it and returns the words of each line that it says at the end."""
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise Failure(f"process {self.pid} does not end") from None
        return [line.split() for line in out.splitlines()]


# ---- measuring processes ----

def tasks(pid):
    with contextlib.suppress(FileNotFoundError):
        return [f"/proc/{pid}/task/{tid}" for tid in os.listdir(f"/proc/{pid}/task")]
    return []


def cpu_ns(pid):
    total = 0
    for task in tasks(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(task + "/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def wakes(pid):
    total = 0
    for task in tasks(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(task + "/status", encoding="utf-8") as file:
                total += int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", file.read())[1])
    return total


def data_thread(pid):
    """The real-time thread of a PipeWire client: the second one, and it has only two."""
    threads = [int(os.path.basename(task)) for task in tasks(pid)]
    if len(threads) != 2:
        raise Failure(f"process {pid} has {len(threads)} threads, not two")
    return max(threads, key=lambda thread: thread != pid)


def usage(roles, seconds):
    """For each role, a list of pids: (percent of a core, wakes per second)."""
    def look():
        return {role: (sum(map(cpu_ns, pids)), sum(map(wakes, pids)))
                for role, pids in roles.items()}
    before, began = look(), time.monotonic()
    time.sleep(seconds)
    after, elapsed = look(), time.monotonic() - began
    return {role: ((after[role][0] - before[role][0]) / elapsed / 1e7,
                   (after[role][1] - before[role][1]) / elapsed) for role in roles}


COUNT_SYSCALLS = ["strace", "-f", "-c", "-U", "name,calls,errors", "-o"]


def succeeded(table):
    """From strace's table: system call -> how many succeeded."""
    result = {}
    for line in table.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].isdigit() and words[0] != "total":
            result[words[0]] = int(words[1]) - (int(words[2]) if len(words) > 2 else 0)
    return result


def thread_syscalls(thread, seconds):
    """System calls of one running thread."""
    command = [word for word in COUNT_SYSCALLS if word != "-f"] + ["/dev/stdout", "-p", str(thread)]
    # pylint: disable=consider-using-with
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    return succeeded(process.communicate(timeout=20)[0])


# ---- the private sound server ----

class Session:
    """PipeWire, WirePlumber and a null sink of our own, in a shell with tests/lib/session.sh."""
    def __init__(self, vms):
        env = dict(os.environ, XARING_BUILD=BUILD, XARING_SOURCE=SOURCE, SESSION_QUANTUM_MIN="32",
                   SESSION_QUANTUM_MAX="2048",
                   SESSION_VMS=" ".join(f"g{i + 1}" for i in range(vms)))
        self.folder = ""
        # pylint: disable=consider-using-with
        self.shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, env=env)
        self.do("ulimit -n 65536 || ulimit -n $(ulimit -Hn)")
        self.do(f". {SOURCE}/tests/lib/check.sh; . {SOURCE}/tests/lib/session.sh; session_open")
        self.folder = self.do("echo $SESSION").strip()
        self.do(f". {SOURCE}/tests/benchmarks/peers.sh; bench_devices")
        self.do("session_start")
        self.env = dict(line.split("=", 1) for line in self.do("env").splitlines() if "=" in line)
        self.pipewire = int(self.do("echo $PIPEWIRE_PID"))
        self.broker = self.worker = None

    def do(self, command):
        """Runs a command in the shell and returns what it printed."""
        with deadline(self.shell, COMMAND_S):
            return self.ask(command)

    def ask(self, command):
        self.shell.stdin.write(f"{command}\nprintf '\\n@%d@\\n' $?\n")
        self.shell.stdin.flush()
        out = []
        for line in self.shell.stdout:
            status = re.fullmatch(r"@(\d+)@\n", line)
            if not status:
                out.append(line)
                continue
            if status[1] != "0":
                raise Failure(f"{command}: exit {status[1]}\n{''.join(out)}{self.logs()}")
            return "".join(out)[:-1]
        raise Failure(f"{command}: the session is over\n{''.join(out)}")

    def logs(self):
        """The ends of the logs, for whoever has to find out why."""
        result = ""
        for name in ("pipewire", "wireplumber", "xaring-pw", "bench"):
            with contextlib.suppress(FileNotFoundError):
                with open(os.path.join(self.folder, "log", name), encoding="utf-8",
                          errors="replace") as file:
                    result += f"{name}: " + f"{name}: ".join(file.readlines()[-5:])
        return result

    def close(self):
        self.shell.stdin.close()
        self.shell.stdout.read()
        self.shell.wait(timeout=30)

    def start_daemon(self):
        self.do("daemon_start")
        self.broker = int(self.do("echo $DAEMON_PID"))
        self.worker = int(self.do("worker_pid"))

    def quantum(self, frames):
        """Forces the graph's quantum; 0 gives it back to the clients' wishes."""
        self.do(f"pw-metadata -n settings 0 clock.force-quantum {frames} >/dev/null")

    def device(self):
        return f"xen:{self.folder}/xaring/vm/g%d"

    def start(self, command, env=None, **keywords):
        with open(os.path.join(self.folder, "log", "bench"), "ab") as log:
            try:
                return Program(command, env=dict(self.env, **(env or {})), stderr=log, **keywords)
            except Failure as error:
                raise Failure(f"{error}\n{self.logs()}") from None


class Shared:
    """The one session that the figures share, made when the first of them needs it."""
    session = None


def session():
    if not Shared.session:
        say("starting a private sound server")
        Shared.session = Session(vms=128)
    return Shared.session


def daemon():
    """The session with xaring-pw in it."""
    if not session().broker:
        session().start_daemon()
    return session()


def close():
    if Shared.session:
        Shared.session.close()
