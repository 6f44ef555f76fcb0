"""What several models share and none owns: backends import from here, never from each other."""
