"""fastseq against whatever peers are installed: python benchmarks/report.py --output results.

Writes results.md, results.json and, with matplotlib, results.png. Every number of threads runs in a process of its
own, as NumPy's BLAS takes it from the environment when it is loaded. With --scale: how time grows with sizes instead
(scale.py, with its options).
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
    limit = limits()
    about = {"gflops": limit.gflops, "gbytes_per_s": limit.gbytes_per_s, "threads": threads}
    print(json.dumps({"machine": machine(), "limits": about}), flush=True)
    modules = (dense, attention, recurrent, precision, bundled, sentences, translation)
    for row in (row for module in modules for row in module.rows() if only in row.name):
        result = measure(row, threads, limit, seconds)
        line = {
            "name": result.name,
            "threads": threads,
            "times_us": result.times_us,
            "best_peer": result.best_peer,
            "ratio": result.ratio,
            "share_of_limit": result.share_of_limit,
            "left_out": result.left_out,
        }
        print(json.dumps(line), flush=True)


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
    return lines


def _line(result: dict[str, Any]) -> str:
    times = ", ".join(f"{name} {us:.0f}" for name, us in result["times_us"].items() if name != "fastseq")
    return (
        f"| {result['name']} | {result['threads']} | {result['times_us']['fastseq']:.0f} | {times} | "
        f"{result['ratio']:.2f} | {result['share_of_limit']:.0%} |"
    )


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
    from matplotlib import pyplot

    rows = [line for line in lines if "name" in line and line["best_peer"]][::-1]
    figure, (ratios, shares) = pyplot.subplots(
        1, 2, sharey=True, figsize=(10, 1 + 0.22 * len(rows)), layout="constrained", width_ratios=(3, 2)
    )
    names = [f"{row['name']}, {row['threads']} thr" for row in rows]
    colours = ["tab:green" if row["ratio"] >= 1 else "tab:orange" for row in rows]
    bars = ratios.barh(names, [row["ratio"] for row in rows], color=colours)
    ratios.bar_label(bars, [f" {row['ratio']:.2f}  {row['best_peer']}" for row in rows], fontsize=7)
    ratios.set_xscale("log")  # twice and half as fast are equally far from 1
    ratios.set_xlim(right=2.5 * max((row["ratio"] for row in rows), default=1.0))
    ratios.axvline(1.0, color="black", linewidth=0.8)
    ratios.set_xlabel("times as fast as the best peer")
    ratios.set_ylim(-0.6, len(rows) - 0.4)
    # Rows whose work is not counted have no limit.
    shares.barh(names, [row["share_of_limit"] for row in rows], color="tab:blue")
    shares.axvline(1.0, color="black", linewidth=0.8)
    shares.set_xlabel("share of what NumPy's product or sum reaches")
    figure.savefig(path, dpi=90)


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
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return _measure(int(args.threads), args.seconds, args.only)
    lines = [line for threads in args.threads.split(",") for line in _run(int(threads), args)]
    args.output.with_suffix(".json").write_text(json.dumps(lines, indent=1), encoding="utf-8")
    args.output.with_suffix(".md").write_text(markdown(lines), encoding="utf-8")
    try:
        picture(lines, args.output.with_suffix(".png"))
    except ImportError:
        print("no picture: matplotlib is not installed", file=sys.stderr)


if __name__ == "__main__":
    main()
