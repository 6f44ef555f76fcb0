rockspec_format = "3.0"
package = "lofi.nvim"
version = "scm-1"
source = { url = "git+https://github.com/willibrandon/lofi.nvim.git" }
description = {
  summary = "Music for your editor, made on your own machine",
  detailed = "The Neovim plugin alone. It starts `lofi-daemon`, a Python package that makes the music.",
  labels = { "neovim", "music" },
  license = "MIT",
}
dependencies = { "lua >= 5.1" }
build = { type = "builtin", copy_directories = { "doc", "plugin" } }
