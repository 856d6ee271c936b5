"""Data sets in, batches out: `catalogue` and `folders` find files, `files` reads them, `batches` iterates."""
