"""Named data sets in, batches on the device out.

`catalogue.py` and `folders.py` find files, `files.py` reads them, `datasets.py` makes a `Dataset` of them.
"""
