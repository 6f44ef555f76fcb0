---The statusline's text. It is built from what the daemon last said and asks it nothing.

local config = require("lofi.config")
local events = require("lofi.events")
local player = require("lofi.player")
local presets = require("lofi.presets")
local radio = require("lofi.radio")
local text = require("lofi.text")

local M = {}

-- what was built last, from which state, and whether a statusline has asked since it was last drawn
local built = { text = "", revision = -1, second = -1 }
local wanted = true
---@type uv.uv_timer_t?
local timer

---@return string
local function build()
  local options = config.get().status
  local icons = options.icons
  local parts = {}
  local state = player.state()
  if state.state ~= "stopped" then
    parts[#parts + 1] = ("%s %s/%s"):format(
      icons[state.state],
      text.clock(player.position()),
      text.clock(state.duration_sec)
    )
    if state.prompt and options.prompt_width > 0 then
      parts[#parts + 1] = text.shorten(presets.title(state.prompt), options.prompt_width)
    end
  elseif radio.late() then
    parts[#parts + 1] = icons.waiting
  end
  local job = require("lofi.jobs").active()[1]
  if job then
    parts[#parts + 1] = ("%s %d%%"):format(icons.generating, job.percent)
  end
  for _, download in pairs(require("lofi.downloads").active()) do
    parts[#parts + 1] = ("%s %d%%"):format(icons.downloading, download.percent)
  end
  return table.concat(parts, " ")
end

---@return string text empty when nothing happens
function M.text()
  wanted = true
  local second = player.state().state == "playing" and math.floor(player.position()) or -1
  local revision = events.revision()
  if built.revision ~= revision or built.second ~= second then
    built = { text = build(), revision = revision, second = second }
  end
  return built.text
end

---@return boolean
local function moving()
  return player.state().state == "playing"
    or next(require("lofi.jobs").active()) ~= nil
    or next(require("lofi.downloads").active()) ~= nil
end

local function tick()
  if wanted then
    -- asked for again by the statusline itself, if it still shows this text
    wanted = false
    vim.cmd.redrawstatus({ bang = true })
  end
  if timer and not moving() then
    timer:stop()
    timer:close()
    timer = nil
  end
end

---Draws the statusline anew while something moves. Called once.
function M.attach()
  for _, event in ipairs(events.names) do
    events.on(event, function()
      local every = config.get().status.refresh_ms
      if every == 0 or timer then
        return
      end
      timer = assert(vim.uv.new_timer())
      timer:start(50, every, vim.schedule_wrap(tick))
    end)
  end
end

return M
