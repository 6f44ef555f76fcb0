---Playback. The daemon plays; here is what it last said and how to tell it more.

local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")
local radio = require("lofi.radio")

---@class lofi.Player
---@field state "playing"|"paused"|"stopped"
---@field track_id? string
---@field prompt? string
---@field position_sec number position at the moment `measured_at`
---@field duration_sec number
---@field measured_at number `vim.uv.hrtime()` in nanoseconds
---@field volume? number 0 to 1
---@field volume_changes integer changes of the volume that the daemon has not answered yet
---@field crossfade_sec? number
---@field loop? "off"|"track"|"playlist"
---@field device? string
---@field muted? boolean
---@field stops_in_sec? number seconds from `measured_at` until it fades out and stops

local M = {}

---@alias lofi.PlayerCallback fun(problem?: lofi.Failure, state?: table)

---@type lofi.Player
local player = {
  state = "stopped",
  position_sec = 0,
  duration_sec = 0,
  measured_at = 0,
  volume_changes = 0,
}

local TOLD =
  { "state", "track_id", "prompt", "crossfade_sec", "loop", "device", "muted", "stops_in_sec" }

---@return lofi.Player state as the daemon last told it
function M.state()
  return player
end

---Takes over the player state of an answer.
---@param state table
function M.took(state)
  for _, name in ipairs(TOLD) do
    player[name] = state[name]
  end
  -- an answer to an earlier change must not undo the later ones that are on their way
  if player.volume_changes == 0 then
    player.volume = state.volume
  end
  player.position_sec = state.position_sec or 0
  player.duration_sec = state.duration_sec or 0
  player.measured_at = vim.uv.hrtime()
  events.changed()
end

---@return number position in seconds, counted on from the daemon's last word
function M.position()
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

---Asks the daemon for the state of everything, and takes it over.
---@param callback fun(problem?: lofi.Failure, status?: table)
function M.ask(callback)
  daemon.request("status", nil, function(problem, status)
    if status then
      M.took(status.player)
      radio.told(status.radio)
    end
    callback(problem, status)
  end)
end

---@param track? string track id, or words of a prompt: the newest track that has them; nil resumes,
---or plays the newest track
---@param callback? lofi.PlayerCallback
function M.play(track, callback)
  if not track or track == "" then
    return daemon.request("play", nil, callback)
  end
  require("lofi.tracks").find(track, function(problem, track_id)
    if problem then
      return failure.deliver(callback, problem)
    end
    daemon.request("play", { track_id = track_id }, callback)
  end)
end

---@param callback? lofi.PlayerCallback
function M.pause(callback)
  command("pause", nil, callback)
end

---@param callback? lofi.PlayerCallback
function M.resume(callback)
  command("resume", nil, callback)
end

---Silence at once; what is being made is not played when it can be heard.
---@param callback? lofi.PlayerCallback
function M.stop(callback)
  command("stop", nil, callback)
end

---@param callback? lofi.PlayerCallback
function M.skip(callback)
  command("skip", nil, callback)
end

---The track before, from its beginning.
---@param callback? lofi.PlayerCallback
function M.previous(callback)
  command("previous", nil, callback)
end

---@param settings lofi.PlayerOptions|{ position_sec?: number, muted?: boolean, stops_in_sec?: number }
---@param callback? lofi.PlayerCallback
function M.set(settings, callback)
  command("player_set", settings, callback)
end

---Playing becomes paused, paused becomes playing, and where nothing plays the radio starts.
---@param callback? fun(problem?: lofi.Failure, state?: table, done?: "paused"|"resumed"|"waiting"|"started")
function M.toggle(callback)
  local function act(is_on)
    local function done(what)
      return function(problem, state)
        if callback then
          callback(problem, state, what)
        elseif problem then
          failure.show(problem)
        end
      end
    end
    if player.state == "playing" then
      M.pause(done("paused"))
    elseif player.state == "paused" then
      M.resume(done("resumed"))
    elseif is_on then
      done("waiting")(nil, player)
    else
      radio.start(nil, done("started"))
    end
  end
  if player.state ~= "stopped" then
    return act(false)
  end
  M.ask(function(problem, status)
    if problem then
      return failure.deliver(callback, problem)
    end
    act(status.radio ~= nil)
  end)
end

---@param volume number 0 to 1
---@param callback lofi.PlayerCallback
local function set_volume(volume, callback)
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
  elseif change and player.volume then
    set_volume(player.volume + change, answer)
  else
    M.ask(function(problem, status)
      if problem then
        answer(problem)
      elseif change then
        set_volume(status.player.volume + change, answer)
      else
        answer(nil, status.player)
      end
    end)
  end
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
    player.state = state
    player.track_id, player.prompt = params.track_id, params.prompt
    player.position_sec = params.position_sec or 0
    player.duration_sec = params.duration_sec or 0
    player.measured_at = vim.uv.hrtime()
    if event == "playback_start" then
      radio.track_started()
    end
    events.emit(event, params)
  end
end

local function nothing_plays()
  player.state, player.track_id, player.prompt = "stopped", nil, nil
  player.position_sec, player.duration_sec = 0, 0
end

---@type table<string, fun(params: table)>
M.notifications = {
  playback_started = playback("playing", "playback_start"),
  playback_paused = playback("paused", "playback_pause"),
  playback_resumed = playback("playing", "playback_resume"),
  playback_ended = function(params)
    -- in a crossfade the next track has started before this one ends
    if player.track_id == params.track_id then
      nothing_plays()
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
}

function M.daemon_ended()
  local track_id = player.track_id
  nothing_plays()
  player.volume = nil
  if track_id then
    events.emit("playback_end", { track_id = track_id, reason = "error", code = "DAEMON_EXITED" })
  end
end

return M
