"""Train softmax regression: `python train.py --help` lists the settings."""

import sys

if __name__ == "__main__":
    try:
        from d2l_softmax.commands.train import main

        sys.exit(main())
    except KeyboardInterrupt:  # before the command has begun
        print("train.py: interrupted", file=sys.stderr)
        sys.exit(130)
