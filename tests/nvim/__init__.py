"""The Neovim plugin, driven in a real Neovim."""
