"""A backend as somebody would add one: this folder, and one line in the registry."""
