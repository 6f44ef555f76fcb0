"""Where model files come from, where they lie, and whether they are whole."""
