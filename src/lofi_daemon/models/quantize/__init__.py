"""Models in fewer bits: `model` makes a set of files, `graph` one of them.

Imported only where that is asked for: running a model does not need it.
"""
