---Playback and the radio. The daemon plays; here is what it last said and how to tell it more.

local config = require("lofi.config")
local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")
local session = require("lofi.session")

local M = {}

---@alias lofi.PlayerCallback fun(problem?: lofi.Failure, state?: table)

---Takes over the player state of an answer.
---@param state table
function M.took(state)
  local player = session.player
  for _, name in ipairs({ "state", "track_id", "prompt", "crossfade_sec", "loop", "device" }) do
    player[name] = state[name]
  end
  -- an answer to an earlier change must not undo the later ones that are on their way
  if player.volume_changes == 0 then
    player.volume = state.volume
  end
  player.position_sec = state.position_sec or 0
  player.duration_sec = state.duration_sec or 0
  player.measured_at = vim.uv.hrtime()
  session.revision = session.revision + 1
end

---@return number position in seconds, counted on from the daemon's last word
function M.position()
  local player = session.player
  local position = player.position_sec
  if player.state == "playing" then
    position = position + (vim.uv.hrtime() - player.measured_at) / 1e9
  end
  return math.min(position, player.duration_sec)
end

---@param method string
---@param params? table
---@param callback? lofi.PlayerCallback
local function command(method, params, callback)
  daemon.request(method, params, function(problem, state)
    if state then
      M.took(state)
    end
    failure.deliver(callback, problem, state)
  end)
end

---@param track? string track id, or words of a prompt: the newest track that has them; nil resumes,
---or plays the newest track
---@param callback? lofi.PlayerCallback
function M.play(track, callback)
  if not track or track == "" then
    daemon.request("play", nil, callback)
  elseif track:match("^%x+$") and #track == 16 then
    daemon.request("play", { track_id = track }, callback)
  else
    daemon.request("tracks_list", { query = track, limit = 1 }, function(problem, found)
      if problem then
        return failure.deliver(callback, problem)
      elseif #found.tracks == 0 then
        local message = ("no track's prompt contains %q"):format(track)
        return failure.deliver(
          callback,
          failure.new("TRACK_NOT_FOUND", message, ":Lofi tracks lists them.")
        )
      end
      daemon.request("play", { track_id = found.tracks[1].track_id }, callback)
    end)
  end
end

---@param callback? lofi.PlayerCallback
function M.pause(callback)
  command("pause", nil, callback)
end

---@param callback? lofi.PlayerCallback
function M.resume(callback)
  command("resume", nil, callback)
end

---@param callback? lofi.PlayerCallback
function M.stop(callback)
  command("stop", nil, callback)
end

---@param callback? lofi.PlayerCallback
function M.skip(callback)
  command("skip", nil, callback)
end

---@param settings lofi.PlayerOptions|{ position_sec?: number }
---@param callback? lofi.PlayerCallback
function M.set(settings, callback)
  command("player_set", settings, callback)
end

---Playing becomes paused, paused becomes playing, and where nothing plays the radio starts.
---@param callback? lofi.PlayerCallback
function M.toggle(callback)
  local function act(state, radio)
    if state == "playing" then
      M.pause(callback)
    elseif state == "paused" then
      M.resume(callback)
    elseif radio then
      vim.notify(
        "lofi: the radio is making its next track",
        vim.log.levels.INFO,
        { title = "lofi" }
      )
      failure.deliver(callback)
    else
      M.radio(nil, callback)
    end
  end
  if session.player.state ~= "stopped" then
    return act(session.player.state)
  end
  daemon.request("status", nil, function(problem, status)
    if problem then
      return failure.deliver(callback, problem)
    end
    M.took(status.player)
    act(status.player.state, status.radio)
  end)
end

---@param volume number 0 to 1
---@param callback lofi.PlayerCallback
local function set_volume(volume, callback)
  local player = session.player
  volume = math.max(0, math.min(1, volume))
  -- noted before the daemon answers, so that a held key adds up
  player.volume = volume
  player.volume_changes = player.volume_changes + 1
  daemon.request("player_set", { volume = volume }, function(problem, state)
    player.volume_changes = player.volume_changes - 1
    if state then
      M.took(state)
    else
      player.volume = nil
    end
    callback(problem, state)
  end)
end

---@param volume? number|string 0 to 1, or a change such as "+0.05"; nil only asks
---@param callback? fun(problem?: lofi.Failure, volume?: number)
function M.volume(volume, callback)
  local function answer(problem, state)
    failure.deliver(callback, problem, state and state.volume)
  end
  local change = type(volume) == "string" and volume:match("^[+-]") and tonumber(volume)
  local level = not change and volume ~= nil and tonumber(volume)
  if volume ~= nil and not change and not level then
    local message = ('%q is no volume; it is a number from 0 to 1, or a change such as "+0.05"'):format(
      tostring(volume)
    )
    vim.schedule(function()
      failure.deliver(callback, failure.new("INVALID_PARAMS", message))
    end)
  elseif level then
    set_volume(level, answer)
  elseif change and session.player.volume then
    set_volume(session.player.volume + change, answer)
  else
    daemon.request("status", nil, function(problem, status)
      if problem then
        return answer(problem)
      end
      M.took(status.player)
      if change then
        set_volume(status.player.volume + change, answer)
      else
        answer(nil, status.player)
      end
    end)
  end
end

---@param wanted? lofi.GenerateOptions|lofi.RadioOptions|string options, or a preset's name or a prompt
---@param callback? fun(problem?: lofi.Failure, radio?: table)
function M.radio(wanted, callback)
  local options = config.get()
  local params = vim.tbl_extend("force", options.generate, options.radio)
  params.priority = nil
  local function start()
    daemon.request("radio_start", params, function(problem, result)
      if result then
        session.radio = result.radio
        session.revision = session.revision + 1
      end
      failure.deliver(callback, problem, result and result.radio)
    end)
  end
  if type(wanted) == "table" then
    if wanted.preset or wanted.prompts then
      params.preset, params.prompts = nil, nil
    end
    params = vim.tbl_extend("force", params, wanted)
    start()
  elseif not wanted or wanted == "" then
    start()
  else
    M.presets(function(problem, presets)
      if problem then
        return failure.deliver(callback, problem)
      end
      params.preset, params.prompts = nil, nil
      local is_preset = vim.iter(presets):any(function(preset)
        return preset.name == wanted
      end)
      params[is_preset and "preset" or "prompts"] = is_preset and wanted or { wanted }
      start()
    end)
  end
end

---@param callback? fun(problem?: lofi.Failure)
function M.radio_stop(callback)
  daemon.request("radio_stop", nil, function(problem)
    if not problem then
      session.radio, session.radio_waiting = nil, nil
      session.revision = session.revision + 1
    end
    failure.deliver(callback, problem)
  end)
end

---@class lofi.Preset
---@field name string
---@field description string
---@field prompts string[]

---@param callback? fun(problem?: lofi.Failure, presets?: lofi.Preset[])
function M.presets(callback)
  daemon.request("radio_presets", nil, function(problem, result)
    failure.deliver(callback, problem, result and result.presets)
  end)
end

---@class lofi.Devices
---@field devices { name: string, is_default: boolean }[]
---@field current? string

---@param callback? fun(problem?: lofi.Failure, result?: lofi.Devices)
function M.devices(callback)
  daemon.request("audio_devices", nil, callback)
end

---@param name string "default" for the system's default
---@param callback? lofi.PlayerCallback
function M.device(name, callback)
  command("player_set", { device = name == "default" and vim.NIL or name }, callback)
end

---@param state "playing"|"paused"
---@param event lofi.Event
---@return fun(params: table)
local function playback(state, event)
  return function(params)
    local player = session.player
    player.state = state
    player.track_id, player.prompt = params.track_id, params.prompt
    player.position_sec = params.position_sec or 0
    player.duration_sec = params.duration_sec or 0
    player.measured_at = vim.uv.hrtime()
    if event == "playback_start" then
      session.radio_waiting = nil
    end
    events.emit(event, params)
  end
end

---@type table<string, fun(params: table)>
M.notifications = {
  playback_started = playback("playing", "playback_start"),
  playback_paused = playback("paused", "playback_pause"),
  playback_resumed = playback("playing", "playback_resume"),
  playback_ended = function(params)
    local player = session.player
    -- in a crossfade the next track has started before this one ends
    if player.track_id == params.track_id then
      player.state, player.track_id, player.prompt = "stopped", nil, nil
      player.position_sec, player.duration_sec = 0, 0
    end
    events.emit("playback_end", params)
    if params.reason == "error" then
      failure.show(
        failure.new(
          params.code or "AUDIO_PLAYBACK_ERROR",
          params.message or "playback failed",
          params.hint
        )
      )
    end
  end,
  radio_waiting = function(params)
    session.radio_waiting = params
    events.emit("radio_waiting", params)
  end,
}

function M.daemon_ended()
  local player = session.player
  local track_id = player.track_id
  session.radio, session.radio_waiting, session.known = nil, nil, {}
  player.state, player.track_id, player.prompt = "stopped", nil, nil
  player.position_sec, player.duration_sec, player.volume = 0, 0, nil
  if track_id then
    events.emit("playback_end", { track_id = track_id, reason = "error", code = "DAEMON_EXITED" })
  end
end

return M
