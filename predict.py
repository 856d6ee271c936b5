"""Classify images with a trained run: `python predict.py --help` lists the options."""

import sys

from d2l_softmax.commands.predict import main

if __name__ == "__main__":
    sys.exit(main())
