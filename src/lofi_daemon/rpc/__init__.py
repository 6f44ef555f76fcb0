"""JSON-RPC 2.0 over standard input and output: lines, envelopes, dispatch, the methods."""
