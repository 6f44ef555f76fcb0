"""Playback in a process of its own, so that inference never makes it stutter.

`process` is the daemon's handle on it; `__main__`, `mixer` and `device` run inside the player.
"""
