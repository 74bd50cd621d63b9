"""fastseq against whatever peers are installed: python benchmarks/report.py --output results.

Writes results.md, results.json and, with matplotlib, results.png. Every number of threads runs in a process of its
own, as NumPy's BLAS takes it from the environment when it is loaded. With --scale: how time grows with sizes instead
(scale.py, with its options). With --merge: the table and the picture of the JSON files of several runs on one machine,
of which a later one has the last word on a row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def _measure(threads: int, seconds: float, only: str) -> None:
    """In the child: one JSON object a line."""
    sys.path.insert(0, str(HERE))
    import attention
    import bundled
    import dense
    import precision
    import recurrent
    import sentences
    import translation
    from peers import limits, machine, measure, set_threads

    set_threads(threads)
    print(json.dumps({"machine": machine()}), flush=True)
    limit = limits(threads)
    modules = (dense, attention, recurrent, precision, bundled, sentences, translation)
    for row in (row for module in modules for row in module.rows() if only in row.name):
        limit = limit.or_better(
            limits(threads)
        )  # a machine that others use gives more or less from one second to the next
        result = measure(row, threads, limit, seconds)
        line = {
            "name": result.name,
            "threads": threads,
            "times_us": result.times_us,
            "best_peer": result.best_peer,
            "ratio": result.ratio,
            "share_of_limit": result.share_of_limit,
            "left_out": result.left_out,
            "flops": row.flops,
            "bytes": row.bytes,
        }
        print(json.dumps(line), flush=True)
    about = {"gflops": limit.gflops, "gbytes_per_s": limit.gbytes_per_s, "threads": threads}
    print(json.dumps({"limits": about}), flush=True)


def _run(threads: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    command = [sys.executable, __file__, "--child", "--threads", str(threads)]
    command += ["--seconds", str(args.seconds), "--only", args.only]
    with subprocess.Popen(
        command, env=os.environ | dict.fromkeys(names, str(threads)), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(json.loads(line))
            if "name" in lines[-1]:
                print(_line(lines[-1]), flush=True)
    if child.returncode != 0:
        raise SystemExit(child.returncode)
    return _with_shares(lines)


def _with_shares(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines with shares of the best that the machine has reached in all the time, which stands first."""
    best = lines[-1]["limits"]
    for line in lines[1:-1]:
        limit_us = max(line["flops"] / (best["gflops"] * 1e3), line["bytes"] / (best["gbytes_per_s"] * 1e3))
        line["share_of_limit"] = limit_us / line["times_us"]["fastseq"]
    return [lines[0] | lines[-1], *lines[1:-1]]


def _line(result: dict[str, Any]) -> str:
    times = ", ".join(f"{name} {us:.0f}" for name, us in result["times_us"].items() if name != "fastseq")
    share = f"{result['share_of_limit']:.0%}" if result["share_of_limit"] else "not counted"
    return (
        f"| {result['name']} | {result['threads']} | {result['times_us']['fastseq']:.0f} | {times} | "
        f"{result['ratio']:.2f} | {share} |"
    )


def merged(runs: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The lines of several runs as those of one: limits by the number of threads, rows by name and threads."""
    limits = {line["limits"]["threads"]: line for run in runs for line in run if "limits" in line}
    rows = {(line["name"], line["threads"]): line for run in runs for line in run if "name" in line}
    return [*limits.values(), *rows.values()]


def markdown(lines: list[dict[str, Any]]) -> str:
    """The table, below the machine and its limits."""
    text = []
    for name, value in lines[0]["machine"].items():
        text.append(f"- {name}: {value}")
    for line in lines:
        if "limits" in line:
            limit = line["limits"]
            text.append(
                f"- NumPy with {limit['threads']} thread(s): {limit['gflops']:.0f} GFLOP/s, "
                f"{limit['gbytes_per_s']:.0f} GB/s from 4 MB"
            )
    text += [
        "",
        "| | threads | fastseq, us | peers, us | ratio to the best | share of the limit |",
        "|---|---|---|---|---|---|",
        *(_line(line) for line in lines if "name" in line),
    ]
    return "\n".join(text) + "\n"


def picture(lines: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratio to the best peer, and of the share of what the machine could do."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    rows = [line for line in lines if "name" in line and line["best_peer"]][::-1]
    figure, (ratios, shares) = pyplot.subplots(
        1, 2, sharey=True, figsize=(10, 1 + 0.22 * len(rows)), layout="constrained", width_ratios=(3, 2)
    )
    names = [f"{row['name']}, {row['threads']} thr" for row in rows]
    colours = ["tab:green" if row["ratio"] >= 1 else "tab:orange" for row in rows]
    ratios.barh(names, [row["ratio"] - 1 for row in rows], left=1.0, color=colours)
    for i, row in enumerate(rows):
        text = f"{row['ratio']:.2f}  {row['best_peer']}"
        ratios.text(1.05 * max(row["ratio"], 1.0), i, text, fontsize=7, va="center")
    ratios.set_xscale("log")  # twice and half as fast are equally far from 1
    ratios.set_xlim(0.5, 2.5 * max((row["ratio"] for row in rows), default=1.0))
    ratios.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    ratios.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    ratios.xaxis.set_minor_formatter(ticker.NullFormatter())
    ratios.axvline(1.0, color="black", linewidth=0.8)
    ratios.set_xlabel("times as fast as the best peer")
    ratios.set_ylim(-0.6, len(rows) - 0.4)
    # Rows whose work is not counted have no limit.
    shares.barh(names, [row["share_of_limit"] for row in rows], color="tab:blue")
    shares.axvline(1.0, color="black", linewidth=0.8)
    shares.set_xlabel("share of the limit")
    figure.savefig(path, dpi=70)


def main() -> None:
    """Run every number of threads and write the results."""
    if "--scale" in sys.argv[1:]:
        sys.path.insert(0, str(HERE))
        import scale

        return scale.main([argument for argument in sys.argv[1:] if argument != "--scale"])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas (default 1,2)")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each row (default 2)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--output", type=Path, default=Path("results"), help="results.md, .json and .png (default)")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="JSON", help="measure nothing")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return _measure(int(args.threads), args.seconds, args.only)
    if args.merge:
        lines = merged([json.loads(path.read_text(encoding="utf-8")) for path in args.merge])
    else:
        lines = [line for threads in args.threads.split(",") for line in _run(int(threads), args)]
    args.output.with_suffix(".json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
    args.output.with_suffix(".md").write_text(markdown(lines), encoding="utf-8")
    try:
        picture(lines, args.output.with_suffix(".png"))
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
