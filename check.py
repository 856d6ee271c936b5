"""Compare your own softmax regression with PyTorch: `python check.py --help` says how."""

import sys

from d2l_softmax.commands.check import main

if __name__ == "__main__":
    sys.exit(main())
