"""Named data sets in, batches on the device out.

`catalogue` and `folders` find files, `files` reads them, `datasets` makes a `Dataset` of them, `batches` iterates.
"""
