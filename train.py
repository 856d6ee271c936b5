"""Train softmax regression: `python train.py --help` lists the settings."""

import sys

from d2l_softmax.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
