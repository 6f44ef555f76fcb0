---The radio: tracks one after another, each made while the one before plays.

local config = require("lofi.config")
local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")
local presets = require("lofi.presets")

local M = {}

---@type table? the radio's settings, as the daemon gave them
local settings
---@type table? the last `radio_waiting`, until the next track starts
local late

---@return table? settings as the daemon gave them; nil while the radio is off
function M.settings()
  return settings
end

---@return table? late what the daemon said of a next track that is late, until it starts
function M.late()
  return late
end

---@param radio? table
local function took(radio)
  settings = radio
  if not radio then
    late = nil
  end
  events.changed()
end

---@param params table
---@param callback? fun(problem?: lofi.Failure, radio?: table)
local function start(params, callback)
  daemon.request("radio_start", params, function(problem, result)
    if result then
      took(result.radio)
    end
    failure.deliver(callback, problem, result and result.radio)
  end)
end

---@param wanted? lofi.GenerateOptions|lofi.RadioOptions|string options, or a preset's name or a prompt,
---which may be among the options as `prompt`
---@param callback? fun(problem?: lofi.Failure, radio?: table)
function M.start(wanted, callback)
  local options = config.get()
  local params = vim.tbl_extend("force", options.generate, options.radio)
  wanted = type(wanted) == "string" and { prompt = wanted } or wanted or {}
  local words = wanted.prompt
  if wanted.preset or wanted.prompts or wanted.library then
    params.preset, params.prompts, params.library = nil, nil, nil
  end
  if wanted.library then
    params.flow = nil -- what is there already goes on from nothing
  end
  params = vim.tbl_extend("force", params, wanted)
  params.prompt, params.priority, params.play = nil, nil, nil
  if not words or words == "" then
    return start(params, callback)
  end
  presets.find(words, function(problem, preset)
    if problem then
      return failure.deliver(callback, problem)
    end
    params.preset, params.prompts = preset and preset.name, not preset and { words } or nil
    params.library = nil
    start(params, callback)
  end)
end

---@param callback? fun(problem?: lofi.Failure)
function M.stop(callback)
  daemon.request("radio_stop", nil, function(problem)
    if not problem then
      took(nil)
    end
    failure.deliver(callback, problem)
  end)
end

---What the daemon said of the radio where it was asked for the state of everything.
---@param radio? table
function M.told(radio)
  took(radio)
end

---A track has started: whatever was late is there.
function M.track_started()
  late = nil
end

---@type table<string, fun(params: table)>
M.notifications = {
  radio_waiting = function(params)
    late = params
    events.emit("radio_waiting", params)
  end,
  radio_fallback = function(params)
    local said = ("the radio goes on with %s: %s"):format(params.backend, params.message)
    require("lofi.message").complain(said, params.hint)
  end,
}

function M.daemon_ended()
  took(nil)
end

return M
