"""What to do with the loop: settings, a run, resuming it, a comparison, a sweep. No command lines are known here."""
