"""Models that compute on another machine, reached by a command that ends in our protocol.

`backend.RemoteBackend` stands in the place of any backend, `box.Box` is the machine, `peer.Peer`
one connection to it. What comes from there is a stranger's: `told` checks it before it is used.
"""
