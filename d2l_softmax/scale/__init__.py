"""Other ways to run the same loop: many learners at once, several processes, a CUDA graph.

Nothing here is needed to understand one run.
"""
