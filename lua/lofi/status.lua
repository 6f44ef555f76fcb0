---The statusline's text. It is built from what the daemon last said and asks it nothing.

local config = require("lofi.config")
local events = require("lofi.events")
local player = require("lofi.player")
local progress = require("lofi.progress")
local session = require("lofi.session")

local M = {}

local statusline = session.statusline

---@return string
local function build()
  local options = config.get().status
  local icons = options.icons
  local parts = {}
  local state = session.player
  if state.state ~= "stopped" then
    parts[#parts + 1] = ("%s %s/%s"):format(
      icons[state.state],
      progress.clock(player.position()),
      progress.clock(state.duration_sec)
    )
    if state.prompt and options.prompt_width > 0 then
      parts[#parts + 1] = progress.shorten(state.prompt, options.prompt_width)
    end
  elseif session.radio_waiting then
    parts[#parts + 1] = icons.waiting
  end
  local job = require("lofi.jobs").active()[1]
  if job then
    parts[#parts + 1] = ("%s %d%%"):format(icons.generating, job.percent)
  end
  for _, download in pairs(session.downloads) do
    parts[#parts + 1] = ("%s %d%%"):format(icons.downloading, download.percent)
  end
  return table.concat(parts, " ")
end

---@return string text empty when nothing happens
function M.text()
  statusline.wanted = true
  local second = session.player.state == "playing" and math.floor(player.position()) or -1
  if statusline.revision ~= session.revision or statusline.second ~= second then
    statusline.text, statusline.revision, statusline.second = build(), session.revision, second
  end
  return statusline.text
end

---@return boolean
local function moving()
  return session.player.state == "playing"
    or next(session.jobs) ~= nil
    or next(session.downloads) ~= nil
end

local function tick()
  if statusline.wanted then
    -- asked for again by the statusline itself, if it still shows this text
    statusline.wanted = false
    vim.cmd.redrawstatus({ bang = true })
  end
  if statusline.timer and not moving() then
    statusline.timer:stop()
    statusline.timer:close()
    statusline.timer = nil
  end
end

---Draws the statusline anew while something moves. Called once.
function M.attach()
  for _, event in ipairs(events.names) do
    events.on(event, function()
      local every = config.get().status.refresh_ms
      if every == 0 or statusline.timer then
        return
      end
      statusline.timer = assert(vim.uv.new_timer())
      statusline.timer:start(50, every, vim.schedule_wrap(tick))
    end)
  end
end

return M
