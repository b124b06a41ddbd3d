"""The memory over HTTP: learn, recall, judge, compose, evolve, and the patterns themselves."""
