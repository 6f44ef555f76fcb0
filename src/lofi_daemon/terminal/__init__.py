"""Playing in a terminal: what the screen shows, single keys, and the commands on top of them.

`screen` is pure (a view in, lines out); `keys` and `display` touch the terminal; `radio` and
`files` are what `lofi-daemon radio` and `lofi-daemon play` run; `hearing` is one track of
`lofi-daemon --prompt … --play`.
"""
