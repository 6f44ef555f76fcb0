---A small window with what plays, and keys for it: those of the radio in a terminal.

local announce = require("lofi.announce")
local failure = require("lofi.failure")
local player = require("lofi.player")
local presets = require("lofi.presets")
local radio = require("lofi.radio")
local text = require("lofi.text")
local window = require("lofi.window")

local WIDTH = 52
local MARKS = { playing = "▶", paused = "⏸", stopped = "■" }
-- What the timer's key goes through, in seconds; then none.
local TIMES = { 15 * 60, 30 * 60, 60 * 60 }

local M = {}

---@type integer?
local shown
---@type integer?
local buffer
---@type uv.uv_timer_t?
local timer

---@return number? seconds until it stops
local function stops_in()
  local state = player.state()
  local left = state.stops_in_sec
  return left and math.max(0, left - (vim.uv.hrtime() - state.measured_at) / 1e9)
end

---Shows what is wrong; what went well is seen.
---@param problem? lofi.Failure
local function seen(problem)
  if problem then
    failure.show(problem)
  end
  M.draw()
end

---@param command string
---@return fun()
local function run(command)
  return function()
    require("lofi.commands").execute(command)
  end
end

---@param seconds integer
---@return fun()
local function seek(seconds)
  return function()
    local state = player.state()
    if state.state ~= "stopped" then
      local position = math.max(0, math.min(player.position() + seconds, state.duration_sec))
      player.set({ position_sec = position }, seen)
    end
  end
end

---@param change string
---@return fun()
local function volume(change)
  return function()
    player.volume(change, seen)
  end
end

local function next_time()
  local left = stops_in()
  for _, time in ipairs(TIMES) do
    if not left or time > left + 1 then
      return player.set({ stops_in_sec = time }, seen)
    end
  end
  player.set({ stops_in_sec = vim.NIL }, seen)
end

---@type { keys: string[], shown: string, does: string, run: fun() }[]
M.keys = {
  { keys = { "<Space>" }, shown = "space", does = "pause", run = run("toggle") },
  { keys = { "n" }, shown = "n", does = "next", run = run("skip") },
  { keys = { "p" }, shown = "p", does = "back", run = run("previous") },
  { keys = { "<Right>", "l" }, shown = "→", does = "on", run = seek(10) },
  { keys = { "<Left>", "h" }, shown = "←", does = "back", run = seek(-10) },
  { keys = { "+", "=" }, shown = "+", does = "louder", run = volume("+0.05") },
  { keys = { "-", "_" }, shown = "-", does = "softer", run = volume("-0.05") },
  {
    keys = { "m" },
    shown = "m",
    does = "mute",
    run = function()
      player.set({ muted = not player.state().muted }, seen)
    end,
  },
  { keys = { "r" }, shown = "r", does = "repeat", run = run("loop") },
  { keys = { "t" }, shown = "t", does = "timer", run = next_time },
  { keys = { "k" }, shown = "k", does = "keep", run = run("keep") },
  { keys = { "q", "<Esc>" }, shown = "q", does = "close", run = function() end },
}

---@param width integer
---@return string
local function bar(width)
  local state = player.state()
  local times = ("%s/%s"):format(text.clock(player.position()), text.clock(state.duration_sec))
  local cells = math.max(1, width - #times - 2)
  local share = state.duration_sec > 0 and player.position() / state.duration_sec or 0
  local filled = math.floor(share * cells + 0.5)
  return ("━"):rep(filled) .. ("─"):rep(cells - filled) .. "  " .. times
end

---@return string
local function sound()
  local state = player.state()
  local parts = {
    state.muted and "muted" or ("volume %d%%"):format(math.floor((state.volume or 0) * 100 + 0.5)),
  }
  if state.loop and state.loop ~= "off" then
    parts[#parts + 1] = "repeats the " .. state.loop
  end
  local left = stops_in()
  if left then
    parts[#parts + 1] = "stops in " .. text.clock(left)
  end
  return table.concat(parts, " · ")
end

---@return string
local function station()
  local parts = {}
  if radio.settings() then
    parts[1] = "radio: " .. announce.station(radio.settings())
  end
  local job = require("lofi.jobs").active()[1]
  if job then
    parts[#parts + 1] = ("making the next, %d%%"):format(job.percent)
  end
  return #parts > 0 and table.concat(parts, " · ") or "no radio"
end

---@param width integer
---@return string[]
local function lines(width)
  local state = player.state()
  local title = state.prompt and presets.title(state.prompt)
    or (radio.settings() and "the first track is being made" or "nothing plays")
  local drawn = { MARKS[state.state] .. " " .. title, bar(width), sound(), station(), "" }
  local row = ""
  for _, key in ipairs(M.keys) do
    local entry = key.shown .. " " .. key.does
    if row ~= "" and vim.api.nvim_strwidth(row .. "  " .. entry) > width then
      drawn[#drawn + 1], row = row, ""
    end
    row = row == "" and entry or row .. "  " .. entry
  end
  drawn[#drawn + 1] = row
  return drawn
end

local function close()
  if timer then
    timer:stop()
    timer:close()
    timer = nil
  end
  if shown and vim.api.nvim_win_is_valid(shown) then
    vim.api.nvim_win_close(shown, true)
  end
  shown = nil
end

---Draws what is known now, while the window is open.
function M.draw()
  if not (shown and vim.api.nvim_win_is_valid(shown) and buffer) then
    return close()
  end
  local width = vim.api.nvim_win_get_width(shown)
  local drawn = vim.tbl_map(text.shown, lines(width))
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, drawn)
  vim.bo[buffer].modifiable = false
end

---Opens the window, or goes to it where it is open.
function M.open()
  if shown and vim.api.nvim_win_is_valid(shown) then
    return vim.api.nvim_set_current_win(shown)
  end
  local width = math.max(1, math.min(WIDTH, vim.o.columns - 4))
  shown = window.open("lofi", lines(width), { width = width })
  buffer = vim.api.nvim_win_get_buf(shown)
  for _, key in ipairs(M.keys) do
    for _, lhs in ipairs(key.keys) do
      local action = key.does == "close" and close or key.run
      vim.keymap.set(
        "n",
        lhs,
        action,
        { buffer = buffer, nowait = true, desc = "lofi: " .. key.does }
      )
    end
  end
  player.ask(seen)
  timer = assert(vim.uv.new_timer())
  timer:start(500, 500, vim.schedule_wrap(M.draw))
end

return M
