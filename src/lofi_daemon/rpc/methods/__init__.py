"""The methods, a module for each group. A group is a list `METHODS`; adding one is a line here."""

from lofi_daemon.rpc.dispatch import Method
from lofi_daemon.rpc.methods import generation, models, playback, process, radio, tracks

METHODS: list[Method] = [
    *process.METHODS,
    *generation.METHODS,
    *models.METHODS,
    *tracks.METHODS,
    *playback.METHODS,
    *radio.METHODS,
]
