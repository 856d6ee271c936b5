"""Classify images with a trained run: `python predict.py --help` lists the options."""

import sys

if __name__ == "__main__":
    try:
        from d2l_softmax.commands.predict import main

        sys.exit(main())
    except KeyboardInterrupt:  # before the command has begun
        print("predict.py: interrupted", file=sys.stderr)
        sys.exit(130)
