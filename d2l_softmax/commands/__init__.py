"""The command lines, `train.py`, `predict.py` and `check.py`: arguments in, messages and an exit status out."""
