---Pages of text in a window: status, queue, backends, log; and the choice of a device.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")
local jobs = require("lofi.jobs")
local journal = require("lofi.journal")
local log = require("lofi.log")
local player = require("lofi.player")
local presets = require("lofi.presets")
local text = require("lofi.text")
local window = require("lofi.window")

local M = {}

---@param track_id string
---@param prompt? string
---@return string name
local function name(track_id, prompt)
  local job = jobs.get(track_id)
  prompt = prompt or job and job.prompt
  return prompt and presets.title(prompt) or "a track (" .. track_id .. ")"
end

---@param method string
---@param show fun(result: table)
local function ask(method, show)
  daemon.request(method, nil, function(problem, result)
    if problem then
      failure.show(problem)
    else
      show(result)
    end
  end)
end

---@param lines string[]
---@param queue table
local function add_queue(lines, queue)
  local current = queue.current
  if current then
    lines[#lines + 1] = ("Making   %s  %d%% %s%s"):format(
      name(current.track_id, current.prompt),
      current.percent,
      (current.phase or ""):gsub("_", " "),
      current.eta_sec and (", %s left"):format(text.clock(current.eta_sec)) or ""
    )
  else
    lines[#lines + 1] = "Making   nothing"
  end
  for _, waiting in ipairs(queue.waiting) do
    lines[#lines + 1] = ("Waiting  %d. %s"):format(
      waiting.position,
      name(waiting.track_id, waiting.prompt)
    )
  end
end

---Calls back with the names of tracks; the newest of the cache are looked through.
---@param track_ids string[]
---@param callback fun(names: table<string, string>)
local function names_of(track_ids, callback)
  if #track_ids == 0 then
    return callback({})
  end
  require("lofi.tracks").list({ limit = 200 }, function(_, found)
    local names = {}
    for _, track in ipairs(found or {}) do
      names[track.track_id] = presets.title(track.prompt)
    end
    callback(names)
  end)
end

---@param lines string[]
---@param playlist string[]
---@param names table<string, string>
local function add_playlist(lines, playlist, names)
  for index, track_id in ipairs(playlist) do
    lines[#lines + 1] = ("Next     %d. %s"):format(index, names[track_id] or name(track_id))
  end
end

---@param radio? table
---@return string
local function radio_line(radio)
  if not radio then
    return "Radio    off"
  end
  local prompts = vim.tbl_map(presets.title, radio.prompts or {})
  return ("Radio    %s%s, %d ready"):format(
    radio.library and radio.library .. " tracks" or radio.preset or table.concat(prompts, ", "),
    radio.flow == true and ", flowing" or "",
    type(radio.ready) == "number" and radio.ready or 0
  )
end

---@param status table
---@param names table<string, string>
---@return string[]
local function status_lines(status, names)
  local state, lines = status.player, {}
  if state.state == "stopped" then
    lines[1] = "Player   stopped"
  else
    lines[1] = ("Player   %s  %s/%s  %s"):format(
      state.state,
      text.clock(state.position_sec),
      text.clock(state.duration_sec),
      name(state.track_id, state.prompt)
    )
  end
  lines[#lines + 1] = ("Sound    volume %d%%, crossfade %g s, loop %s, device %s%s%s"):format(
    math.floor((state.volume or 0) * 100 + 0.5),
    state.crossfade_sec or 0,
    state.loop or "off",
    state.device or "default",
    state.muted and ", muted" or "",
    state.stops_in_sec and (", stops in %s"):format(text.clock(state.stops_in_sec)) or ""
  )
  lines[#lines + 1] = radio_line(status.radio)
  add_queue(lines, status.queue)
  add_playlist(lines, status.playlist, names)
  lines[#lines + 1] = ("Cache    %d tracks, %.0f of %.0f MB"):format(
    status.cache.tracks,
    status.cache.bytes / 1e6,
    status.cache.max_bytes / 1e6
  )
  return lines
end

function M.status()
  ask("status", function(status)
    names_of(status.playlist, function(names)
      window.open("lofi", status_lines(status, names))
    end)
  end)
end

function M.queue()
  ask("status", function(status)
    names_of(status.playlist, function(names)
      local lines = {}
      add_queue(lines, status.queue)
      add_playlist(lines, status.playlist, names)
      window.open("lofi queue", lines)
    end)
  end)
end

function M.backends()
  ask("get_backends", function(result)
    local lines = {}
    for _, backend in ipairs(result.backends) do
      lines[#lines + 1] = ("%s %-10s %-14s %d to %d s, %.1f kHz%s"):format(
        backend.type == result.default_backend and "*" or " ",
        backend.type,
        backend.status:gsub("_", " "),
        backend.min_duration_sec,
        backend.max_duration_sec,
        backend.sample_rate / 1000,
        backend.model_version and ", " .. backend.model_version or ""
      )
      if backend.error then
        lines[#lines + 1] = "    " .. tostring(backend.error)
      end
    end
    window.open("lofi backends", lines)
  end)
end

function M.log()
  local lines = journal.facts()
  lines[#lines + 1] = ""
  local entries = log.lines()
  vim.list_extend(lines, #entries > 0 and entries or { "(nothing has happened yet)" })
  window.open("lofi log", lines, { follow = true })
end

function M.choose_device()
  ask("audio_devices", function(result)
    local names = { "default" }
    for _, device in ipairs(result.devices) do
      names[#names + 1] = device.name
    end
    vim.ui.select(names, {
      prompt = "lofi device",
      kind = "lofi_device",
      format_item = function(each)
        return text.shown(each == (result.current or "default") and each .. " (now)" or each)
      end,
    }, function(chosen)
      if chosen then
        M.use_device(chosen)
      end
    end)
  end)
end

---@param chosen string "default" for the system's
function M.use_device(chosen)
  player.device(chosen, function(problem, state)
    local message = require("lofi.message")
    if problem then
      failure.show(problem)
    elseif state.device == "null" then
      message.say("plays to nobody now; :Lofi device default is the system's sound")
    else
      message.say("plays on " .. (state.device or "the system's default device"))
    end
  end)
end

---@param choose fun(preset: lofi.Preset)
function M.choose_preset(choose)
  presets.ask(function(problem)
    if problem then
      return failure.show(problem)
    end
    vim.ui.select(presets.known(), {
      prompt = "lofi radio",
      kind = "lofi_preset",
      format_item = function(preset)
        local shown = text.shown(("%s: %s"):format(preset.name, preset.description))
        return text.shorten(shown, vim.o.columns - #"12: " - 1)
      end,
    }, function(preset)
      if preset then
        choose(preset)
      end
    end)
  end)
end

return M
