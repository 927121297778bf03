# SPDX-License-Identifier: MIT
"""Latency from the application's write to the monitor of the sink, measured with impulses, and
whether snd_pcm_delay() tells it.

The monitor of a null sink hears a cycle's sound in the next cycle, while PipeWire says that it has
no delay: what a bare client hears later than PipeWire told it is the monitor's, and is taken off
before a delay is compared. Latencies are given as heard."""
import array
import bisect
import os
import statistics
import time

from framework import RATE, Failure, counted, figure, pick, say, session
from peers import Bare, PipewireAlsa, Simple, Tunnel, Xaring

LOUD = 0.3
QUIET_FRAMES = 1000  # between two impulses, so that the filter of a resampler is one


def heard(path):
    """When the impulses were in the sink, in ns, from the recording of sound-tap."""
    samples = array.array("f")
    with open(path, "rb") as file:
        samples.frombytes(file.read())
    cycles = []
    with open(path + ".times", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) == 4:
                cycles.append((int(words[0]), int(words[1])))
    first = [cycle[0] for cycle in cycles]
    found, last = [], -QUIET_FRAMES
    left = samples[0::2]
    for frame, value in enumerate(left):
        if value > LOUD and frame - last >= QUIET_FRAMES:
            last = max(range(frame, min(frame + 64, len(left))), key=left.__getitem__)
            start, ns = cycles[bisect.bisect(first, last) - 1]
            found.append(ns + (last - start) * 1000000000 // RATE)
    return found


def impulses(way, guests, quantum, length):
    """(latency, what the device said) in frames, of each impulse."""
    path = os.path.join(session().folder, "tap.f32")
    with way(guests, quantum, "impulse") as running:
        session().do(f"tap_sink {path}")
        time.sleep(length)
        session().do("tap_stop")
        written = running.end().get("impulse", [])
    times = heard(path)
    result = []
    for ns, delay in written:
        i = bisect.bisect(times, ns)
        if i < len(times) and times[i] - ns < 480000000:
            result.append(((times[i] - ns) * RATE / 1e9, delay))
    if not result:
        raise Failure(f"{way.name}: no impulse was heard")
    return result


def several(way, guests, quantum):
    """Of several starts: the phase between application and graph is another in each."""
    result = []
    for i in range(pick(5, 2)):
        say(f"  {way.name}, {guests} guests, quantum {quantum}: start {i + 1}")
        result += impulses(way, guests, quantum, pick(5, 3))
    return result


@figure("latency", "write to monitor, and snd_pcm_delay")
def our_latency():
    for quantum in pick((64, 256, 1024), (1024,)):
        found = several(Xaring, 1, quantum)
        latencies = [latency for latency, _ in found]
        bare = impulses(Bare, 1, quantum, 2)
        monitor = statistics.median(latency - delay for latency, delay in bare)
        errors = sorted(abs(latency - monitor - delay) for latency, delay in found)
        yield counted(f"latency, quantum {quantum}, median", statistics.median(latencies),
                      2 * quantum + 1.25 * quantum + 16, "frames")
        yield counted(f"latency, quantum {quantum}, largest", max(latencies), None, "frames")
        yield counted(f"latency of a bare client, quantum {quantum}",
                      statistics.median(latency for latency, _ in bare), None, "frames")
        yield counted(f"snd_pcm_delay error, quantum {quantum}, median", statistics.median(errors),
                      16, "frames")
        yield counted(f"snd_pcm_delay error, quantum {quantum}, 95th percentile",
                      errors[int(len(errors) * 0.95)], quantum / 4, "frames")


@figure("position", "G11: the position is monotone and moves by a quantum at most")
def position():
    for quantum in pick((64, 256, 1024), (1024,)):
        with Xaring(1, quantum, "probe") as running:
            time.sleep(pick(10, 3))
            looks, back, step = running.end()["probe"][0]
        if looks < 1000:
            raise Failure(f"only {looks} looks at the position")
        yield counted(f"position went back, quantum {quantum}", back, 0, "times")
        yield counted(f"position, largest step, quantum {quantum}", step, quantum, "frames")


@figure("peers-latency", "latency of all peers at 1, 8 and 32 guests")
def peers():
    quantum = 1024
    for guests in pick((1, 8, 32), (1,)):
        ours = statistics.median(latency for latency, _ in several(Xaring, guests, quantum))
        for way in (PipewireAlsa, Simple, Tunnel):
            theirs = statistics.median(latency for latency, _ in several(way, guests, quantum))
            row = counted(f"latency, {guests} guests, quantum {quantum}", ours, None, "frames",
                          way.name)
            row.peer, row.ratio = theirs, ours / theirs
            yield row
