"""JSON-RPC 2.0 over stdio: envelopes and parameters, lines, dispatch.

Imports jobs, radio, player, tracks; nothing imports rpc but the command line. No numpy here.
"""
