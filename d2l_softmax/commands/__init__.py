"""The command lines, `train.py` and `predict.py`: arguments in, messages and an exit status out.

What they do is in the other rooms.
"""
