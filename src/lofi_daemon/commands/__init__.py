"""What the command line does besides serving, a module for each command.

Imports jobs, tracks, models; nothing but `cli` imports it.
"""
