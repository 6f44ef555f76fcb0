"""The own small files and folders: read with care, written whole, private, one at a time."""
