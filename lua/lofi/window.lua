---A window in the middle of the screen for a page of text.

local M = {}

---Opens a window without the line about the file that Neovim shows where 'shortmess' has no F: in a
---narrow terminal that line waits for Enter.
---@param buffer integer
---@param enter boolean
---@param layout vim.api.keyset.win_config
---@return integer window
function M.open_quietly(buffer, enter, layout)
  local before = vim.o.shortmess
  vim.o.shortmess = before .. "F"
  local opened, window = pcall(vim.api.nvim_open_win, buffer, enter, layout)
  vim.o.shortmess = before
  if not opened then
    error(window, 0)
  end
  return window
end

---@param title string
---@param lines string[]
---@param options? { follow?: boolean, width?: integer } follow: start at the last line; width: at least
---so many cells
---@return integer window
function M.open(title, lines, options)
  lines = vim.tbl_map(require("lofi.text").shown, #lines > 0 and lines or { "(nothing)" })
  local width = options and options.width and options.width - 2 or 0
  for _, line in ipairs(lines) do
    width = math.max(width, vim.api.nvim_strwidth(line))
  end
  local buffer = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].bufhidden = "wipe"
  vim.bo[buffer].filetype = "lofi"
  width = math.max(1, math.min(math.max(width, #title) + 2, vim.o.columns - 4))
  local height = math.max(1, math.min(#lines, vim.o.lines - vim.o.cmdheight - 4))
  local window = M.open_quietly(buffer, true, {
    relative = "editor",
    style = "minimal",
    border = "rounded",
    title = (" %s "):format(title),
    title_pos = "center",
    width = width,
    height = height,
    row = math.max(0, math.floor((vim.o.lines - vim.o.cmdheight - height - 2) / 2)),
    col = math.max(0, math.floor((vim.o.columns - width - 2) / 2)),
  })
  vim.wo[window].wrap = false
  for _, key in ipairs({ "q", "<Esc>" }) do
    vim.keymap.set("n", key, "<Cmd>close<CR>", { buffer = buffer, nowait = true })
  end
  if options and options.follow then
    vim.api.nvim_win_set_cursor(window, { #lines, 0 })
  end
  return window
end

return M
