"""Named data sets in, batches on the device out.

`catalogue.py` and `idx.py` find and read files, `datasets.py` makes a `Dataset` of them, `batches.py` iterates.
"""
