"""Attacks the program at random, and says what it did and what went wrong.

    python -m tests.soak --kills 200 --commands 5000 --files 10000

Training is killed in every phase and resumed, command lines are made up, files and images are damaged, disks are full
or cannot be written. Whatever happens, a run that is resumed must end like one never stopped, and everything else
with a result or one line of explanation, soon, in little memory, and with nothing left behind. The seed is printed;
`--seed SEED --case KIND NUMBER` repeats a single case.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.soak.cases import FaultError
from tests.soak.commands import Commands
from tests.soak.disks import Disks
from tests.soak.files import Files
from tests.soak.images import Images
from tests.soak.kills import Kills

KINDS = {"kills": (Kills, 200), "commands": (Commands, 5000), "files": (Files, 10000)}
KINDS |= {"images": (Images, 1000), "disks": (Disks, 200)}


def soak(kind: str, seed: int, wanted: int, number: int | None = None) -> tuple[Counter, dict[str, list[str]]]:
    """Attack until as much is counted as wanted; return the counts and, alike ones together, the faults."""
    counts, faults, told = Counter(), {}, time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        attack = KINDS[kind][0](Path(root))
        numbers = range(2 * wanted) if number is None else [number]
        for number in numbers:
            if sum(counts.values()) >= wanted:
                break
            with tempfile.TemporaryDirectory(dir=root) as folder:
                try:
                    attack(random.Random(f"{seed} {kind} {number}"), Path(folder), counts)
                except FaultError as fault:
                    text = str(fault).replace(folder, "FOLDER").replace(root, "ROOT")
                    alike = faults.setdefault(fault.alike, [])
                    alike.append(f"--seed {seed} --case {kind} {number}: {text}")
                    if len(alike) == 1:
                        print(alike[0], flush=True)
            if time.monotonic() > told + 60:
                told = time.monotonic()
                print(f"{kind}: {sum(counts.values())} of {wanted}", flush=True)
    return counts, faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition("\n")[0])
    for kind, (_, wanted) in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=wanted, metavar="N", help=f"how many (default: {wanted})")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="default: a new one")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--case", nargs=2, metavar=("KIND", "NUMBER"), help="repeat this one")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    failed, cases = 0, {kind: (getattr(options, kind), None) for kind in options.only}
    if options.case:
        cases = {options.case[0]: (1, int(options.case[1]))}
    for kind, (wanted, number) in cases.items():
        begun = time.monotonic()
        counts, faults = soak(kind, options.seed, wanted, number)
        by = ", ".join(f"{label}: {count}" for label, count in sorted(counts.items()))
        print(f"{kind}: {sum(counts.values())} in {time.monotonic() - begun:.0f} s ({by})", flush=True)
        for alike, found in faults.items():
            print(f"  {len(found)} times, first with {found[0].partition(': ')[0]}: {alike}", flush=True)
        failed += sum(map(len, faults.values()))
    print(f"{failed} faults")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
