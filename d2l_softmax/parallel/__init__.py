"""The same loop for many learners in one matrix product, and for several processes.

It knows nothing of settings or runs.
"""
