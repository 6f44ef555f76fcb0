---How the plugin speaks: one line that fits where Neovim shows messages, everything in the log. A
---message that does not fit makes Neovim wait for Enter, which nobody asked for.

local log = require("lofi.log")
local text = require("lofi.text")

-- Fewer cells than this hold no sentence: the corner says it instead.
local LEAST_ROOM = 30
local MORE = " (:Lofi log)"

local HIGHLIGHTS = {
  [vim.log.levels.ERROR] = "ErrorMsg",
  [vim.log.levels.WARN] = "WarningMsg",
}

local M = {}

---@return integer cells that a message may take now; 0 where the message line is no place for one:
---it is too narrow or not there, or somebody types in it
function M.room()
  local mode = vim.api.nvim_get_mode().mode
  if vim.o.cmdheight == 0 or mode:match("^[cr]") then
    return 0
  end
  local room = math.min(vim.v.echospace, vim.o.columns - 1)
  return room >= LEAST_ROOM and room or 0
end

---@return boolean notifier whether a plugin shows what goes to |vim.notify()|
function M.has_notifier()
  -- Neovim's own has the name of a file that comes with it, or none, as its modules are stripped in 0.12
  local source = debug.getinfo(vim.notify, "S").source
  return not (source:match("^@vim/_") or source == "?")
end

---Shows a line that fits, over whatever message stands there.
---@param line string
---@param level? integer
function M.echo(line, level)
  -- a message that still stands there would be scrolled up, and that waits for Enter
  vim.cmd.redraw()
  vim.api.nvim_echo({ { line, HIGHLIGHTS[level] } }, true, {})
end

---@param said string what happened
---@param hint? string what to do next
---@param room integer cells
---@return string line
function M.one_line(said, hint, room)
  local whole = hint and hint ~= "" and said .. (said:match("[.!?:]$") and " " or ". ") .. hint
    or said
  if not whole:find("\n", 1, true) and vim.api.nvim_strwidth(text.shown(whole)) <= room then
    return text.shown(whole)
  end
  local first = said:match("^[^\n]*")
  return text.shorten(first, room - #MORE) .. MORE
end

---@param said string what happened
---@param level? integer one of `vim.log.levels`
---@param hint? string what to do next
function M.say(said, level, hint)
  said = "lofi: " .. said
  level = level or vim.log.levels.INFO
  local whole = hint and hint ~= "" and said .. "\n" .. hint or said
  log.add((whole:gsub("\n", "\nlofi: ")))
  if M.has_notifier() then
    vim.notify(whole, level, { title = "lofi" })
    return
  end
  local room = M.room()
  if room > 0 then
    M.echo(M.one_line(said, hint, room), level)
  else
    require("lofi.corner").note(M.one_line(said, hint, math.max(LEAST_ROOM, vim.o.columns - 2)))
  end
end

---@param said string
---@param hint? string
function M.complain(said, hint)
  M.say(said, vim.log.levels.ERROR, hint)
end

return M
