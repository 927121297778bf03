# SPDX-License-Identifier: MIT
"""G3, G4: what a period costs, in instructions (callgrind), copies, allocations and locks. Both
ends in one program, without a sound server, so that the numbers are exact."""
import os
import re
import tempfile

from framework import BUILD, counted, exact_ratio, figure, fit, pick, program, run

PERIODS = (64, 128, 256, 512, 1024)
PLUGIN = os.path.join(BUILD, "alsa-plugin", "libasound_module_pcm_xen.so")

CONFIGURATION = """
pcm_type.xen { lib "%s" }
pcm.xen { @args [ SOCKET ] @args.SOCKET { type string } type xen socket $SOCKET }
"""


def environment(folder):
    path = os.path.join(folder, "asound.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION % PLUGIN)
    # Copies are counted the same way at all lengths only without the string instruction.
    return dict(os.environ, ALSA_CONFIG_PATH=path, LIBASOUND_THREAD_SAFE="0",
                GLIBC_TUNABLES="glibc.cpu.x86_rep_movsb_threshold=1000000000")


def inclusive(path):
    """From callgrind's file: function name -> (calls, instructions of all of them)."""
    names, result, callee, calls = {}, {}, None, 0
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            named = re.match(r"cfn=\((\d+)\)(?: (.+))?", line)
            if named:
                if named[2]:
                    names[named[1]] = named[2]
                callee = named[1]
            elif line.startswith("fn="):
                own = re.match(r"fn=\((\d+)\) (.+)", line)
                if own:
                    names[own[1]] = own[2]
            elif line.startswith("calls="):
                calls = int(line[6:].split()[0])
            elif calls:
                total = result.get(callee, (0, 0))
                result[callee] = (total[0] + calls, total[1] + int(line.split()[1]))
                calls = 0
    # The compiler may have made a variant of a function, with a suffix.
    return {names[key].split(".")[0]: value for key, value in result.items() if key in names}


def instructions(period, rounds):
    """Mean instructions of a call, by function."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "callgrind")
        run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no",
             "--toggle-collect=step*", program("period"), os.path.join(folder, "socket"),
             str(period), str(rounds)], env=environment(folder))
        return {name: total / calls for name, (calls, total) in inclusive(out).items()}


@figure("period", "G3: instructions of a period")
def period_cost():
    points = {period: instructions(period, pick(400, 100)) for period in PERIODS}

    def line(*functions):
        return fit([(4 * period, sum(points[period][f] for f in functions)) for period in PERIODS])
    _, copy = line("measured_copy")
    for title, functions, bound in (
            ("plugin transfer and pointer", ("on_transfer", "on_pointer"), 400),
            ("pump, one stream", ("measured_pump",), 500)):
        fixed, slope = line(*functions)
        yield counted(f"{title}, fixed", fixed, bound, "instructions")
        yield exact_ratio(f"{title}, per byte", slope, copy, 1.05, "instructions", "memcpy")


@figure("copies", "G4: copies, allocations and locks of a period")
def copies():
    period, rounds = 1024, 200
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        env["LD_PRELOAD"] = os.path.join(BUILD, "tests", "benchmarks", "libbench-count.so")
        out = run([program("period"), os.path.join(folder, "socket"), str(period), str(rounds)],
                  env=env)
    found = {}
    payload = 0
    for line in out.splitlines():
        words = line.split()
        if words[0] == "count":
            found[words[1]] = [int(word) for word in words[2:]]
        elif words[0] == "consumed":
            payload = int(words[1]) * 4
    yield exact_ratio("copied bytes, both ends", found["guest"][0] + found["pump"][0], payload, 2.0,
                      "B", "payload")
    for end, title in (("guest", "plugin"), ("pump", "pump")):
        yield counted(f"allocations per period, {title}", found[end][1] / rounds, 0)
        yield counted(f"locks per period, {title}", found[end][2] / rounds, 0)
