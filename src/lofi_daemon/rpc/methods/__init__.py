"""The methods, a module for each group. A module says what it takes, answers and tells.

`METHODS` and `NOTIFICATIONS` are all of them; adding a module is a line in each. What daemons ask
each other, and no client, is in `BETWEEN_DAEMONS`.
"""

from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.messages import Message
from lofi_daemon.rpc.methods import (
    backends,
    generation,
    playback,
    playlist,
    radio,
    status,
    tracks,
)

METHODS: list[Method] = [
    *status.METHODS,
    *generation.METHODS,
    *backends.METHODS,
    *tracks.METHODS,
    *playback.METHODS,
    *playlist.METHODS,
    *radio.METHODS,
]
BETWEEN_DAEMONS: list[Method] = [*playback.BETWEEN_DAEMONS]
NOTIFICATIONS: dict[str, type[Message]] = {
    **generation.NOTIFICATIONS,
    **backends.NOTIFICATIONS,
    **playback.NOTIFICATIONS,
    **radio.NOTIFICATIONS,
}
