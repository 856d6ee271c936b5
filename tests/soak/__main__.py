"""Attacks the program at random, and says what it did and what went wrong.

    python -m tests.soak kills 100
    python -m tests.soak commands 2000
    python -m tests.soak files 3000

Training is killed in every phase and resumed, command lines are made up, files are damaged. A run that is resumed
must end like one never stopped, and everything else with a result or one line that says why not.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.attacks import Commands, Files, import_everything
from tests.soak.kills import Kills

KINDS = {"kills": Kills, "commands": Commands, "files": Files}


def soak(kind: str, seed: int, wanted: int) -> tuple[Counter, int]:
    """Attack until as much is counted as wanted; return the counts, and how many faults there were."""
    counts, faults, number = Counter(), 0, 0
    import_everything()
    with tempfile.TemporaryDirectory() as root:
        attack = KINDS[kind](Path(root))
        while counts.total() + faults < wanted:
            with tempfile.TemporaryDirectory(dir=root) as folder:
                try:
                    attack(random.Random(f"{seed} {kind} {number}"), Path(folder), counts)
                except AssertionError as fault:
                    print(fault, flush=True)
                    faults += 1
            number += 1
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, faults = soak(options.kind, options.seed, options.count)
    print(f"{options.kind}: {counts.total()} {dict(sorted(counts.items()))}; faults: {faults}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
