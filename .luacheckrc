-- luacheck reads this file as Lua
std = "luajit"
cache = false
max_line_length = 120
read_globals = { "vim" }
globals = { "vim.g", "vim.b", "vim.w", "vim.o", "vim.bo", "vim.wo", "vim.go", "vim.env" }
