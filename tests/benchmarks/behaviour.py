# SPDX-License-Identifier: MIT
"""G12, G14, G19: what is promised about drift, stalls and the desktop's quantum."""
import json
import os
import re
import signal
import time

from framework import (BUILD, RATE, Failure, counted, daemon, exact_ratio, figure, pick, program,
                       run, say, session)

TOOLS = os.path.join(BUILD, "tests", "lib")
STALLS_MS = (10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000, 5000)
PERIOD = 1024


def stall(player, length):
    os.kill(player.pid, signal.SIGSTOP)
    time.sleep(length / 1000)
    os.kill(player.pid, signal.SIGCONT)
    resumed = time.monotonic_ns()
    time.sleep(0.7)
    return resumed


def stalled_playback(lengths):
    """Plays frames with numbers through the stalls: what was heard, and when each stall ended."""
    daemon().quantum(PERIOD)
    tap, log = (os.path.join(session().folder, name) for name in ("stall.f32", "stall.log"))
    session().do(f"tap_sink {tap}")
    player = session().start([os.path.join(TOOLS, "coded-player"), "-D", session().device() % 1,
                              "-p", str(PERIOD), "-b", str(2 * PERIOD), "-l", log, "1"], ready=None)
    time.sleep(1)
    resumed = [stall(player, length) for length in lengths]
    player.stop()
    session().do(f"tap_go_on {tap} 300; tap_stop")
    return json.loads(run([os.path.join(TOOLS, "sound-check"), "coded", "1", str(RATE), tap, log],
                          env=session().env)), resumed


def recovery(runs, resumed):
    """Frames from the end of each stall until the graph had sound again. The monitor hears a
    quantum later."""
    for moment in resumed:
        after = [run["begin_ns"] for run in runs if run["end_ns"] > moment]
        if not after:
            raise Failure("no sound after a stall")
        yield max(0, (after[0] - moment) * RATE / 1e9 - PERIOD)


@figure("stalls", "G14: an application that stands still for 10 ms to 5 s")
def stalls():
    lengths = pick(STALLS_MS * 2, STALLS_MS[3::4])
    say(f"  {len(lengths)} stalls")
    found, resumed = stalled_playback(lengths)
    runs = found["runs"]
    # Too short a run says nothing about latency: half a second is long enough.
    latencies = [one["latency_ms"] for one in runs if one["frames"] > RATE // 2]
    yield counted("gaps per stall", (found["gaps"] + found["jumps"]) / len(lengths), 1)
    yield counted("frames repeated, damaged or foreign after stalls",
                  found["repeated"] + found["damaged"] + found["foreign"], 0)
    yield exact_ratio("largest latency after a stall", max(latencies), latencies[0], 1.05, "ms",
                      "before")
    yield counted("slowest recovery from a stall", max(recovery(runs, resumed)), 2 * PERIOD,
                  "frames")


@figure("quantum", "G19: guests do not change the graph's quantum")
def desktop_quantum():
    daemon().quantum(0)
    tap = os.path.join(session().folder, "quantum.f32")
    periods = (64, 100, 128, 256, 512, 1024, 2048, 4096)
    players = [session().start([program("player"), session().device() % (i + 1), "1", str(period),
                                str(2 * period)]) for i, period in enumerate(periods)]
    session().do(f"tap_sink {tap}")
    time.sleep(pick(5, 2))
    session().do("tap_stop")
    for player in players:
        player.stop()
    with open(tap + ".times", encoding="ascii") as file:
        quanta = [int(line.split()[2]) for line in file if len(line.split()) == 4]
    yield counted("cycles of another quantum, 8 guests with periods of 64 to 4096",
                  sum(quantum != 1024 for quantum in quanta), 0, "cycles")


@figure("drift", "G12: client and pump for 24 hours of virtual time, -300 to 300 ppm")
def drift():
    # The test knows the bounds of the fill, and fails when one of them is broken.
    out = run([os.path.join(BUILD, "tests", "virtual", "test-virtual-day")],
              env=dict(os.environ, XARING_TEST=pick("long", "normal")))
    days = [(float(hours), int(xruns)) for hours, xruns in
            re.findall(r" (\S+) h: (\d+) xruns", out)]
    if not days:
        raise Failure("the test of a day in virtual time says nothing")
    yield counted(f"xruns in {sum(hours for hours, _ in days):g} hours of virtual time",
                  sum(xruns for _, xruns in days), 0)
