"""Attacks the program at random, and says what it did and what went wrong.

    python -m tests.soak --kills 100 --commands 2000 --files 3000

Training is killed in every phase and resumed, command lines are made up, files are damaged. A run that is resumed
must end like one never stopped, and everything else with a result or one line that says why not.
"""

import argparse
import random
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.attacks import Commands, Files, import_everything
from tests.soak.kills import Kills

KINDS = {"kills": Kills, "commands": Commands, "files": Files}


def soak(kind: str, seed: int, wanted: int) -> tuple[Counter, Counter]:
    """Attack until as much is counted as wanted; return the counts and, by what is alike in them, the faults."""
    counts, faults = Counter(), Counter()
    import_everything()
    with tempfile.TemporaryDirectory() as root:
        attack = KINDS[kind](Path(root))
        for number in range(wanted):
            if counts.total() >= wanted:
                break
            with tempfile.TemporaryDirectory(dir=root) as folder:
                try:
                    attack(random.Random(f"{seed} {kind} {number}"), Path(folder), counts)
                except AssertionError as fault:
                    # Faults that differ only in names and numbers are printed once.
                    alike = re.sub(r"'[^']*'|[\w./-]*\d[\w./-]*", "…", str(fault).splitlines()[0])
                    if alike not in faults:
                        print(fault, flush=True)
                    faults[alike] += 1
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0, metavar="N", help="how many (default: none)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="default: a new one")
    options = vars(parser.parse_args())
    print(f"seed {options['seed']}", flush=True)
    failed = 0
    for kind in filter(options.get, KINDS):
        counts, faults = soak(kind, options["seed"], options[kind])
        print(f"{kind}: {counts.total()} {dict(sorted(counts.items()))}; faults: {dict(faults)}", flush=True)
        failed += faults.total()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
