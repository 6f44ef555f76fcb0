---A small window in the corner: one line for each track or download that is under way.

local config = require("lofi.config")

-- The window is drawn at most this often, however fast a model reports its steps.
local REDRAW_MS = 100
local WIDTH = 60
local BAR = 8

local M = {}

local state = require("lofi.session").corner

---@return integer cells
local function width()
  return math.max(1, math.min(WIDTH, vim.o.columns))
end

---@param item lofi.ProgressItem
---@return string
local function line(item)
  local shorten = require("lofi.progress").shorten
  local head
  if item.status == "running" then
    local filled = math.floor(item.percent * BAR / 100 + 0.5)
    head = (" %s%s %2d%% "):format(("█"):rep(filled), ("░"):rep(BAR - filled), item.percent)
  else
    head = (" %s "):format(({ success = "✓", failed = "✗", cancel = "–" })[item.status])
  end
  -- the message says what is new, so it is the title that gives way
  local room = width() - vim.api.nvim_strwidth(head) - 3
  local message = shorten(item.message, math.max(1, room - 10))
  local title = shorten(item.title, math.max(1, room - vim.api.nvim_strwidth(message)))
  return head .. title .. ": " .. message
end

local function close()
  if state.window and vim.api.nvim_win_is_valid(state.window) then
    vim.api.nvim_win_close(state.window, true)
  end
  state.window = nil
end

local function draw()
  if #state.items == 0 then
    return close()
  end
  if not (state.buffer and vim.api.nvim_buf_is_valid(state.buffer)) then
    state.buffer = vim.api.nvim_create_buf(false, true)
    vim.bo[state.buffer].bufhidden = "hide"
    vim.bo[state.buffer].filetype = "lofi"
  end
  vim.api.nvim_buf_set_lines(state.buffer, 0, -1, false, vim.tbl_map(line, state.items))
  local below = vim.o.cmdheight + (vim.o.laststatus > 0 and 1 or 0)
  local layout = {
    relative = "editor",
    anchor = "SE",
    row = vim.o.lines - below,
    col = vim.o.columns,
    width = width(),
    height = math.max(1, math.min(#state.items, vim.o.lines - below - 1)),
  }
  if state.window and vim.api.nvim_win_is_valid(state.window) then
    if vim.api.nvim_win_get_tabpage(state.window) == vim.api.nvim_get_current_tabpage() then
      vim.api.nvim_win_set_config(state.window, layout)
      return
    end
    close()
  end
  layout.style, layout.focusable, layout.noautocmd, layout.zindex = "minimal", false, true, 60
  state.window = vim.api.nvim_open_win(state.buffer, false, layout)
  vim.wo[state.window].winhighlight = "Normal:LofiProgress"
  vim.wo[state.window].wrap = false
end

local function redraw_soon()
  if state.redraw_pending then
    return
  end
  state.redraw_pending = true
  vim.defer_fn(function()
    state.redraw_pending = false
    -- Under a text lock, while an expression map waits for instance, no window may open (E565); the
    -- next event draws it.
    if not pcall(draw) then
      state.window = nil
    end
  end, REDRAW_MS)
end

---@param item lofi.ProgressItem
function M.show(item)
  vim.api.nvim_set_hl(0, "LofiProgress", { link = "NormalFloat", default = true })
  local index
  for position, shown in ipairs(state.items) do
    if shown.id == item.id then
      index = position
    end
  end
  state.items[index or #state.items + 1] = item
  redraw_soon()
  if item.status ~= "running" then
    vim.defer_fn(function()
      state.items = vim.tbl_filter(function(shown)
        return shown ~= item
      end, state.items)
      redraw_soon()
    end, config.get().progress.linger_ms)
  end
end

return M
