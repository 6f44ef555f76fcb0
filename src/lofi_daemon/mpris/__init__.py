"""The music as Linux desktops know players: media keys, playerctl, the desktop's own widget.

This is MPRIS, https://specifications.freedesktop.org/mpris-spec/latest. `shown` is pure: what the
desktop sees of a moment. `service` answers on the bus; `announcement` decides when there is one.
"""
