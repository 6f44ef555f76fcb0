"""Many tracks from one file of songs, into a folder of their own that is never evicted."""
