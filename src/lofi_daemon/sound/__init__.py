"""Sound as arrays: clips, filters, loudness, pictures."""
