"""Playback in a process of its own, so that inference never makes it stutter.

In the daemon: `playback` decides what sounds; `process` is its handle on the player, at the other
end of a `pipe`. In the player: `__main__`, `player`, `decks`, `mixer`, `source`, `device`.
"""
