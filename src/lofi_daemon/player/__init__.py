"""Playback in a process of its own, so that inference never makes it stutter.

In the daemon: `playback` decides what sounds; `table` is what is known of it; `turntable` keeps the
table and speaks to the player, at the other end of a `pipe`. In the player: `__main__`, `commands`,
`decks`, `mixer`, `source`, `device`.
"""
