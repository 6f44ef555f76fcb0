"""What waits to be generated, the one thread that generates, and honest progress.

Imports backends, tracks and the ground floor; publishes events that rpc and radio listen to.
"""
