"""Command lines made up at random: every option of the settings, with values that are right, odd or nonsense."""

import os
import random
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

from d2l_softmax import MODES
from d2l_softmax.commands import predict, train
from d2l_softmax.experiment.settings import Settings
from tests.conftest import ROOT
from tests.idx_files import make_folder
from tests.soak.cases import in_child, judge

NASTY = ["-", "--", "-1", "0", "1", "nan", "-inf", "1e400", "1e-320", "0.1", "1_0", "0x10", "٣", "1e3", "", " "]
NASTY += ["..", "../up", "a/b/c", "~", "/dev/null/x", "/proc", "FILE", "DATA", "RUN", "SWEEP", "--epochs", "--help"]
NASTY += ["%s", "{}", "true", "*", "9" * 20, "9" * 5000, "two\nlines", "\udcff", "\x1b[31m", "x" * 256, "é" * 200]
ODD_OPTIONS = ["--epoch", "-h", "--", "--no-such", "positional", "--modes", "--resume", "--invert", "-", "--version"]
ENVIRONMENTS = [{}] * 40 + [{"WORLD_SIZE": "2"}, {"RANK": "1"}, {"WORLD_SIZE": "two"}, {"LOCAL_RANK": "9"}]
ALONE = 0.01  # the share that is run as a user does, with all its imports
NOWHERE = "http://127.0.0.1:9"


class Commands:
    """Attacks with one command line each; the cases count exit statuses."""

    def __init__(self, root: Path):
        self.data = root / "data"
        make_folder(self.data, 70, 20, 3, 5)
        (root / "file").write_text("no folder")
        small = ["--dataset", str(self.data), "--epochs", "1", "--no-figures", "--logdir", str(root)]
        for name, options in (("run", []), ("sweep", ["--lr", "0.1", "0.2"])):
            ended = in_child(lambda o=options, n=name: train.main([*small, *o, "--run-name", n]), root / "made")
            judge(name, ended, root / "made", (0,))
        self.paths = {"FILE": root / "file", "DATA": self.data, "RUN": root / "run", "SWEEP": root / "sweep"}

    def __call__(self, chance: random.Random, folder: Path, counts: Counter) -> None:
        name, main = ("train.py", train.main) if chance.random() < 0.8 else ("predict.py", predict.main)
        arguments = self._arguments(name, chance)
        environment = chance.choice(ENVIRONMENTS)
        alone = name == "train.py" and chance.random() < ALONE
        ended = in_child(lambda: _run(main, alone, arguments, environment), folder, 60)
        counts[f"{name.removesuffix('.py')} {ended.status}"] += 1
        drifted = ended.status == 1 and "drifted apart" in ended.err
        may_make = {"runs", *(argument.rpartition("=")[2].split("/")[0] for argument in arguments)}
        what = f"{environment or ''} {name} {arguments}"
        judge(what, ended, folder, (0, 1, 2) if drifted else (0, 2), may_make=may_make)

    def _arguments(self, name: str, chance: random.Random) -> list[str]:
        if name == "predict.py":
            words = chance.choices(
                [*NASTY, *ODD_OPTIONS, "RUN", "RUN", "--data-dir", "--logdir"], k=chance.randint(0, 4)
            )
        else:
            words = ["--dataset", "DATA", "--epochs", "1", "--no-figures"]
            for setting in chance.sample(fields(Settings), chance.choice([0, 1, 1, 2, 2, 3, 5])):
                words += self._option(setting, chance)
            if chance.random() < 0.05:
                words += [chance.choice(ODD_OPTIONS), *chance.choices(NASTY, k=chance.randint(0, 2))]
            if chance.random() < 0.1:
                words += ["--mode", "compare", "--modes", ",".join(chance.choices([*MODES, "", *NASTY], k=2))]
            if chance.random() < 0.1:
                words = ["--resume", chance.choice(["RUN", "SWEEP", *NASTY]), *words[5:]]
        return [str(self.paths.get(word, word)) for word in words]

    def _option(self, setting, chance: random.Random) -> list[str]:
        option = f"--{'no-' if setting.default is True else ''}{setting.name.replace('_', '-')}"
        # A number of epochs that is allowed must be one that ends.
        nasty = [value for value in NASTY if setting.name != "epochs" or value not in ("9" * 20, "1e3")]
        right = [*setting.metadata["choices"], *map(str, [setting.default, 2, 0.5, 1.5, "auto", "cuda", "digits"])]
        values = [chance.choice(chance.choice([nasty, right])) for _ in range(chance.choice([0, 1, 1, 1, 1, 2, 3]))]
        if isinstance(setting.default, bool):
            values = values[:1] if chance.random() < 0.1 else []
        return [f"{option}={values[0]}"] if len(values) == 1 and chance.random() < 0.3 else [option, *values]


def _run(main, alone: bool, arguments: list[str], environment: dict[str, str]) -> int:
    """Call the command or, as a user does, its script, without a network."""
    os.environ |= {"http_proxy": NOWHERE, "https_proxy": NOWHERE} | environment
    if alone:
        os.execv(sys.executable, [sys.executable, str(ROOT / "train.py"), *arguments])
    return main(arguments)
