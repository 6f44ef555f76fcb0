"""Where model files come from, where they lie, and whether they are whole.

Imports only the ground floor; backends and the command line ask it.
"""
