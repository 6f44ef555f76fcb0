"""The program's own small files and folders: read with care, written whole, private, one at a time.

Ground that every room may stand on; imports nothing of the rest of the house.
"""
