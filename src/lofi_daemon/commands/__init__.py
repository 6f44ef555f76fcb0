"""What the command line does besides serving, a module for each command."""
