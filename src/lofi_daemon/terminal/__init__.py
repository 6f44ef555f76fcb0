"""Playing in a terminal: what the screen shows, single keys, and the two commands on top of them.

`screen` is pure (a view in, lines out); `keys` and `display` touch the terminal; `radio` and
`files` are what `lofi-daemon radio` and `lofi-daemon play` run.
"""
