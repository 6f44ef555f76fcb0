"""Sound as arrays: clips, filters, loudness, pictures; needs numpy and the ground."""
