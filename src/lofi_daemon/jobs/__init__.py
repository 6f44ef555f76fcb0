"""What waits to be generated, the one thread that generates, and honest progress."""
