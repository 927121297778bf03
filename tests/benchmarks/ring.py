# SPDX-License-Identifier: MIT
"""G1, G2: the ring against spa_ringbuffer and against an imitation of libxenvchan's."""
from framework import compared, figure, pick, program, run

LAYOUTS = "abcde"


def rounds(threads, size):
    """One process for each round: addresses differ from process to process, and matter."""
    for _ in range(pick(4, 2)):
        for layout in LAYOUTS:
            out = run([program(f"ring-{layout}"), threads, str(size), "1"])
            yield [float(word) for word in out.split()]


def rows(threads, title, bounds):
    for size, (spa, vchan) in bounds.items():
        results = list(rounds(threads, size))
        yield compared(f"{title}, {size} B", [(r[0], r[1]) for r in results], spa, "ns",
                       "spa_ringbuffer")
        yield compared(f"{title}, {size} B", [(r[0], r[2]) for r in results], vchan, "ns",
                       "vchan-like ring")


@figure("ring-one", "G1: one write and one read in one thread")
def one_thread():
    yield from rows("one", "ring, one thread",
                    {256: (1.15, 0.60), 1024: (1.05, 0.85), 4096: (1.05, None)})


@figure("ring-two", "G2: a block from one core to the other")
def two_threads():
    yield from rows("two", "ring, two cores",
                    {64: (None, 0.30), 256: (None, 0.50), 1024: (1.15, None), 4096: (1.15, None)})
