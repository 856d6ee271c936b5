"""Compare your own softmax regression with PyTorch: `python check.py --help` says how."""

import sys

if __name__ == "__main__":
    try:
        from d2l_softmax.commands.check import main

        sys.exit(main())
    except KeyboardInterrupt:  # before the command has begun
        print("check.py: interrupted", file=sys.stderr)
        sys.exit(130)
