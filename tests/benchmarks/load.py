# SPDX-License-Identifier: MIT
"""G5 to G9, G17, G18: wakes, system calls, notifications and CPU time, with PipeWire."""
import os
import signal
import statistics
import time

from framework import (COUNT_SYSCALLS, RATE, Failure, compared, counted, daemon, data_thread,
                       exact_ratio, figure, pick, program, say, session, succeeded,
                       thread_syscalls, usage)
from peers import Bare, PipewireAlsa, Processes, Simple, Tunnel, Way, Xaring

SETTLE_S = 1.0


def measure(way, guests, quantum, seconds=None):
    """Starts it, lets it settle, and returns its usage by role."""
    with way(guests, quantum) as running:
        time.sleep(SETTLE_S)
        return usage(running.roles, seconds or pick(3, 1.5))


def rounds(ways, guests, quantum, count):
    """All of them in turn, again and again: a list of {way: usage}."""
    result = []
    for i in range(count):
        say(f"  {guests} guests, quantum {quantum}: round {i + 1} of {count}")
        result.append({way: measure(way, guests, quantum) for way in ways})
    return result


def daemon_cpu(found):
    return found["daemon"][0]


def whole_cpu(found):
    return sum(found[role][0] for role in ("guests", "daemon", "server") if role in found)


def whole_wakes(found):
    return sum(found[role][1] for role in ("guests", "daemon", "server") if role in found)


@figure("wakes", "G8: wakes of the worker")
def worker_wakes():
    quantum = 1024
    for guests in (1, 8, 32, 64):
        say(f"  {guests} guests")
        wakes = statistics.median(measure(Xaring, guests, quantum, 6)["worker"][1]
                                  for _ in range(pick(5, 1)))
        yield exact_ratio(f"worker wakes, {guests} guests, quantum {quantum}", wakes,
                          RATE / quantum, 1.05, "/s", "quantum rate")


@figure("cpu", "G9: CPU of the daemon")
def daemon_time():
    for quantum in pick((1024, 256), (1024,)):
        results = rounds([Xaring, Bare, Processes], 32, quantum, pick(15, 3))
        for way, bound in ((Bare, 1.25), (Processes, 0.50)):
            yield compared(f"daemon CPU, 32 guests, quantum {quantum}",
                           [(daemon_cpu(r[Xaring]), daemon_cpu(r[way])) for r in results], bound,
                           "%", way.name)


@figure("path", "G9: the whole path against module-protocol-simple")
def whole_path():
    for quantum in pick((1024, 256, 64), (1024,)):
        results = rounds([Xaring, Simple], 8, quantum, pick(15, 3))
        yield compared(f"whole path CPU, 8 guests, quantum {quantum}",
                       [(whole_cpu(r[Xaring]), whole_cpu(r[Simple])) for r in results], 0.80, "%",
                       Simple.name)


@figure("peers", "whole path of all peers at 1, 8 and 32 guests")
def all_peers():
    ways = [Xaring, PipewireAlsa, Simple, Tunnel]
    for guests in pick((1, 8, 32), (8,)):
        results = rounds(ways, guests, 1024, pick(5, 2))
        for way in ways[1:]:
            yield compared(f"whole path CPU, {guests} guests",
                           [(whole_cpu(r[Xaring]), whole_cpu(r[way])) for r in results], None, "%",
                           way.name)
            yield compared(f"whole path wakes, {guests} guests",
                           [(whole_wakes(r[Xaring]), whole_wakes(r[way])) for r in results], None,
                           "/s", way.name)


# ---- system calls ----

SENDS = ("write", "writev", "sendmsg", "sendto", "sendmmsg")
RECEIVES = ("recvmsg", "recvfrom", "recvmmsg")


def calls_per_cycle(way, guests, quantum):
    """Of the real-time thread, how often it waits left out: that is what wakes are counted for.
    PipeWire writes once in each cycle, to wake the server."""
    with way(guests, quantum) as running:
        time.sleep(SETTLE_S)
        pid = running.roles.get("worker", running.roles["daemon"])[0]
        calls = thread_syscalls(data_thread(pid), pick(10, 4))
    if not calls:
        raise Failure("strace may not look at the worker: only root may, and that is as it should be")
    waits = sum(calls.pop(name, 0) for name in ("epoll_wait", "epoll_pwait"))
    if not waits or not calls.get("write"):
        raise Failure(f"{way.name}: unknown system calls: {calls}")
    return sum(calls.values()) / calls["write"]


@figure("syscalls", "G7: system calls of the daemon, beyond PipeWire's own")
def daemon_syscalls():
    guests, quantum = 8, 1024
    ours, bare = (calls_per_cycle(way, guests, quantum) for way in (Xaring, Bare))
    # The ends of the measurement cut cycles: a hundredth of a call is none.
    row = counted("worker system calls per cycle and stream, beyond a bare client",
                  round((ours - bare) / guests, 2), 0)
    yield row


class Traced(Way):
    """Our player under strace for its whole life."""
    name = "xaring"

    def begin(self):
        daemon()
        self.log = os.path.join(session().folder, "player.strace")
        self.add("guests", COUNT_SYSCALLS + [self.log, program("player"), session().device(),
                                             str(self.guests), str(self.quantum),
                                             str(2 * self.quantum)])
        strace = self.programs[0].pid
        with open(f"/proc/{strace}/task/{strace}/children", encoding="ascii") as file:
            self.child = int(file.read().split()[0])

    def end(self):
        """Returns frames, xruns and system calls."""
        os.kill(self.child, signal.SIGTERM)
        out, _ = self.programs[0].process.communicate(timeout=10)
        with open(self.log, encoding="ascii") as file:
            return int(out.split()[-2]), int(out.split()[-1]), succeeded(file.read())


def steady(quantum):
    """What more happens in a long run than in a short one: the beginning and the end fall out."""
    results = []
    for length in (2, pick(12, 6)):
        running = Traced(1, quantum)
        time.sleep(length)
        results.append(running.end())
    (frames, xruns, calls), (more_frames, more_xruns, more_calls) = results
    return (more_frames - frames, more_xruns - xruns,
            {name: count - calls.get(name, 0) for name, count in more_calls.items()})


@figure("notify", "G5, G6, G7: notifications and system calls of a guest in steady playback")
def guest_syscalls():
    for quantum in pick((64, 256, 1024), (1024,)):
        frames, xruns, calls = steady(quantum)
        # A start after an xrun, which a busy machine may cause, may notify once.
        sent = max(0, sum(calls.get(name, 0) for name in SENDS) - xruns)
        received = sum(calls.get(name, 0) for name in RECEIVES)
        yield counted(f"guest to host notifications, quantum {quantum}", sent * RATE / frames, 0,
                      "/s")
        yield counted(f"host to guest notifications, quantum {quantum}", received * RATE / frames,
                      2, "/s")
        yield counted(f"plugin system calls per period, quantum {quantum}",
                      sum(calls.values()) / (frames / quantum), 3)


# ---- many, and none ----

@figure("idle", "G17: 32 guests that are open and silent")
def idle():
    with Xaring(32, 1024, "idle") as running:
        time.sleep(pick(8, 2))
        found = usage(running.roles, pick(30, 5))
    yield counted("worker wakes, 32 idle guests", found["worker"][1], 1, "/s")
    yield counted("daemon CPU, 32 idle guests", found["daemon"][0], 0.05, "%")
    yield counted("server wakes, 32 idle guests", found["server"][1], None, "/s")


@figure("many", "G18: 128 guests")
def many():
    few = measure(Xaring, 32, 1024)
    with Xaring(128, 1024) as running:
        time.sleep(SETTLE_S)
        found = usage(running.roles, pick(60, 10))
        xruns = running.end()["total"][0][1]
    yield counted("xruns of 128 guests, quantum 1024, 60 s", xruns, 0)
    yield exact_ratio("daemon CPU of 128 guests", found["daemon"][0], few["daemon"][0], 5, "%",
                      "32 guests")
