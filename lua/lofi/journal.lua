---Writes what happens into the log: tracks with their times, what played where, downloads.

local events = require("lofi.events")
local log = require("lofi.log")
local text = require("lofi.text")

local M = {}

---@param data table
---@return string
local function track(data)
  return ('%s "%s"'):format(data.track_id, text.shown(data.prompt or ""))
end

---@param data table
---@return string
local function ended(data)
  return data.code and ("%s: %s"):format(data.code, data.message or "") or ""
end

---What each event leaves in the log. Progress leaves nothing.
---@type table<lofi.Event, fun(data: table): string>
local ENTRIES = {
  generation_start = function(data)
    return ("%s %s"):format(data.backend or "radio", track(data))
  end,
  generation_complete = function(data)
    return ("%s in %.1f s, %s s of music by %s"):format(
      track(data),
      data.generation_time_sec or 0,
      data.duration_sec,
      data.backend
    )
  end,
  generation_error = function(data)
    return track(data) .. " " .. ended(data)
  end,
  generation_cancelled = track,
  download_complete = function(data)
    return data.backend
  end,
  download_error = function(data)
    return data.backend .. " " .. ended(data)
  end,
  playback_start = function(data)
    local device = require("lofi.player").state().device
    return ("%s on %s"):format(track(data), device or "the default device")
  end,
  playback_pause = track,
  playback_resume = track,
  playback_end = function(data)
    return ("%s %s %s"):format(data.track_id, data.reason, ended(data))
  end,
  radio_waiting = function(data)
    return ("next track in %s s, meanwhile %s"):format(
      data.eta_sec or "?",
      data.replaying or "nothing"
    )
  end,
  daemon_exit = function(data)
    return data.message
  end,
}

---Listens from now on. Called once, when the first daemon starts.
function M.attach()
  for event, entry in pairs(ENTRIES) do
    events.on(event, function(data)
      log.add(event .. " " .. vim.trim(entry(data)))
    end)
  end
end

---What a bug report begins with.
---@return string[] lines
function M.facts()
  local daemon = require("lofi.daemon").current()
  local player = require("lofi.player").state()
  local system = vim.uv.os_uname()
  local lines = {
    ("Neovim   %s, %d × %d, cmdheight %d"):format(
      tostring(vim.version()),
      vim.o.columns,
      vim.o.lines,
      vim.o.cmdheight
    ),
    ("System   %s %s %s"):format(system.sysname, system.release, system.machine),
    "Daemon   " .. (daemon and ("%s, version %s: %s"):format(
      daemon.phase,
      daemon.version or "not known yet",
      table.concat(daemon.command, " ")
    ) or "does not run"),
    ("Sound    %s, device %s"):format(player.state, player.device or "default"),
  }
  for _, job in ipairs(require("lofi.jobs").active()) do
    lines[#lines + 1] = ("Making   %s  %d%% %s"):format(job.track_id, job.percent, job.phase or "")
  end
  return lines
end

return M
