# SPDX-License-Identifier: MIT
"""Measures xaring against its bounds and against its peers, and prints a table."""
import argparse
import json
import sys

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position,unused-import
import framework
import ring
import period
import load
import latency
import behaviour


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="figures:\n" + "\n".join(
                                         f"  {name:14} {text}" for name, text, _ in
                                         framework.FIGURES))
    parser.add_argument("--json", action="store_true", help="print a list of objects instead")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--only", metavar="NAME", action="append",
                        help="this figure only; may be given several times")
    parser.add_argument("--no-build", action="store_true", help="take the programs as they are")
    result = parser.parse_args()
    known = [name for name, _, _ in framework.FIGURES]
    for name in result.only or []:
        if name not in known:
            parser.error(f"there is no figure {name}: {', '.join(known)}")
    return result


def number(value):
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def print_table(rows):
    lines = [("name", "ours", "", "compared with", "peer", "ratio", "quartiles", "bound", "")]
    for row in rows:
        spread = f"{row.spread[0]:.2f}-{row.spread[1]:.2f}" if row.spread else ""
        held = "" if row.bound is None else "held" if row.held else "MISSED"
        lines.append((row.name, number(row.ours), row.unit, row.against, number(row.peer),
                      number(row.ratio), spread, number(row.bound), held))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        cells = [cell.rjust(width) if i in (1, 4, 5, 6, 7) else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells).rstrip())


def main():
    options = arguments()
    framework.Options.quick = options.quick
    rows = []
    if not options.no_build:
        framework.say("building")
        framework.build()
    for name, text, function in framework.FIGURES:
        if options.only and name not in options.only:
            continue
        framework.say(f"{name}: {text}")
        try:
            for row in function():
                rows.append(row)
        except framework.Failure as error:
            print(f"tests/bench: {name}: {error}", file=sys.stderr)
            rows.append(framework.Row(f"{name}: could not be measured", None, bound=0, held=False))
    framework.close()
    if options.json:
        json.dump([row.json() for row in rows], sys.stdout, indent=1)
        print()
    else:
        print_table(rows)
        missed = sum(not row.held for row in rows)
        bounds = sum(row.bound is not None for row in rows)
        print(f"{bounds - missed} of {bounds} bounds held")
    return 0 if all(row.held for row in rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except framework.Failure as error:
        print(f"tests/bench: {error}", file=sys.stderr)
        sys.exit(1)
