"""`python -m fastseq`: the command line."""

import sys

from fastseq.cli import entry_point

if __name__ == "__main__":
    sys.exit(entry_point())
