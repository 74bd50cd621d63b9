"""What `import fastseq` takes beside `import numpy`: python benchmarks/import_time.py.

Each in a new process, in turn, as `python -X importtime` counts it; medians. Importing fastseq loads neither NumPy nor
the extension: they come with what is first used. So there is a third line, with NumPy loaded before, for what the first
use of a model brings along.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

# Bytecode is kept, as pip does for NumPy: a source tree would be compiled in each process else.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
CASES = {
    "numpy": ("import numpy", "numpy"),
    "fastseq": ("import fastseq", "fastseq"),
    "fastseq, NumPy loaded before": ("import numpy; import fastseq", "fastseq"),
    "fastseq.models, NumPy loaded before": ("import numpy; import fastseq; import fastseq.models", "fastseq.models"),
}


def milliseconds(code: str, module: str) -> float:
    """Time that the import of a module took, with what it imports."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stderr.splitlines()
    fields = [line.removeprefix("import time:").split("|") for line in lines if line.startswith("import time:")]
    return next(float(total) / 1000 for _, total, name in fields if name.strip() == module)


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for code, module in CASES.values():  # once, for the bytecode
        milliseconds(code, module)
    for _ in range(rounds):
        for name, (code, module) in CASES.items():
            times[name].append(milliseconds(code, module))
    base = statistics.median(times["numpy"])
    print("| import | ms | of NumPy's |\n|---|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.1f} | {statistics.median(values) / base:.2f} |")


if __name__ == "__main__":
    main()
