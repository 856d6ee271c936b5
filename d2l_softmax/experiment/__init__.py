"""What to do with the loop: settings, a run, a comparison, a sweep, and how to resume and stop them.

It joins the lesson with data, records and scale, and knows nothing of command lines.
"""
