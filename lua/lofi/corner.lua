---A small window in the corner: one line for each track or download that is under way, and for a
---message that the message line has no room for.

local config = require("lofi.config")
local text = require("lofi.text")

-- The window is drawn at most this often, however fast a model reports its steps.
local REDRAW_MS = 100
local NOTE_MS = 5000
local WIDTH = 60
local BAR = 8
local MARKS = { success = "✓", failed = "✗", cancel = "–" }

local M = {}

---@type lofi.ProgressItem[]
local items = {}
---@type integer?
local buffer
---@type integer?
local window
local redraw_pending = false

---@return lofi.ProgressItem[] items what is shown, first line first
function M.items()
  return items
end

---@return integer cells
local function width()
  return math.max(1, math.min(WIDTH, vim.o.columns))
end

---@param item lofi.ProgressItem
---@return string
local function line(item)
  if item.status == "note" then
    return " " .. text.shorten(item.message, math.max(1, width() - 2))
  end
  local head
  if item.status == "running" then
    local filled = math.floor(item.percent * BAR / 100 + 0.5)
    head = (" %s%s %2d%% "):format(("█"):rep(filled), ("░"):rep(BAR - filled), item.percent)
  else
    head = (" %s "):format(MARKS[item.status])
  end
  -- the message says what is new, so it is the title that gives way
  local room = width() - vim.api.nvim_strwidth(head) - 3
  local message = text.shorten(item.message, math.max(1, room - 10))
  local title = text.shorten(item.title, math.max(1, room - vim.api.nvim_strwidth(message)))
  return head .. title .. ": " .. message
end

local function close()
  if window and vim.api.nvim_win_is_valid(window) then
    vim.api.nvim_win_close(window, true)
  end
  window = nil
end

local function draw()
  if #items == 0 then
    return close()
  end
  if not (buffer and vim.api.nvim_buf_is_valid(buffer)) then
    buffer = vim.api.nvim_create_buf(false, true)
    vim.bo[buffer].bufhidden = "hide"
    vim.bo[buffer].filetype = "lofi"
  end
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, vim.tbl_map(line, items))
  local below = vim.o.cmdheight + (vim.o.laststatus > 0 and 1 or 0)
  local layout = {
    relative = "editor",
    anchor = "SE",
    row = vim.o.lines - below,
    col = vim.o.columns,
    width = width(),
    height = math.max(1, math.min(#items, vim.o.lines - below - 1)),
  }
  if window and vim.api.nvim_win_is_valid(window) then
    if vim.api.nvim_win_get_tabpage(window) == vim.api.nvim_get_current_tabpage() then
      vim.api.nvim_win_set_config(window, layout)
      return
    end
    close()
  end
  layout.style, layout.focusable, layout.noautocmd, layout.zindex = "minimal", false, true, 60
  window = require("lofi.window").open_quietly(buffer, false, layout)
  vim.wo[window].winhighlight = "Normal:LofiProgress"
  vim.wo[window].wrap = false
end

local function redraw_soon()
  if redraw_pending then
    return
  end
  redraw_pending = true
  vim.defer_fn(function()
    redraw_pending = false
    -- Under a text lock, while an expression map waits for instance, no window may open (E565); the
    -- next event draws it.
    if not pcall(draw) then
      window = nil
    elseif vim.api.nvim_get_mode().mode:match("^[cr]") then
      -- what waits for a key draws nothing by itself
      vim.cmd.redraw()
    end
  end, REDRAW_MS)
end

---@param id string
function M.drop(id)
  items = vim.tbl_filter(function(shown)
    return shown.id ~= id
  end, items)
  redraw_soon()
end

---@param item lofi.ProgressItem
function M.show(item)
  vim.api.nvim_set_hl(0, "LofiProgress", { link = "NormalFloat", default = true })
  local index
  for position, shown in ipairs(items) do
    if shown.id == item.id then
      index = position
    end
  end
  items[index or #items + 1] = item
  redraw_soon()
  if item.status ~= "running" then
    local stays = item.status == "note" and NOTE_MS or config.get().progress.linger_ms
    vim.defer_fn(function()
      items = vim.tbl_filter(function(shown)
        return shown ~= item
      end, items)
      redraw_soon()
    end, stays)
  end
end

---@param said string
function M.note(said)
  M.show({ id = "note", title = "", message = said, percent = 0, status = "note" })
end

return M
