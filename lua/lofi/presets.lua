---The radio's presets: the plugin's own at once, with the user's as soon as a daemon has told them.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")

---@class lofi.Preset
---@field name string
---@field description string
---@field prompts string[]

local M = {}

local BUNDLED = "src/lofi_daemon/radio/presets.json"

---@type lofi.Preset[]?
local known
---@type table<string, string>?
local preset_of

---@param presets lofi.Preset[]
local function learn(presets)
  known, preset_of = presets, {}
  for _, preset in ipairs(presets) do
    for _, prompt in ipairs(preset.prompts or {}) do
      preset_of[prompt] = preset.name
    end
  end
end

---@return lofi.Preset[] presets those that are known without asking
function M.known()
  if not known then
    local file = io.open(vim.fs.joinpath(require("lofi.discovery").plugin_root(), BUNDLED), "rb")
    local decoded, presets = pcall(vim.json.decode, file and file:read("*a") or "[]")
    if file then
      file:close()
    end
    learn(decoded and presets or {})
  end
  return assert(known)
end

---@return string[]
function M.names()
  return vim.tbl_map(function(preset)
    return preset.name
  end, M.known())
end

---@param prompt string
---@return string? preset the name of the preset that the prompt is from
function M.of(prompt)
  M.known()
  return preset_of and preset_of[prompt]
end

---@param prompt string
---@return string title what a track of this prompt is called
function M.title(prompt)
  return require("lofi.text").name(prompt, M.of(prompt))
end

---@param callback? fun(problem?: lofi.Failure, presets?: lofi.Preset[])
function M.ask(callback)
  daemon.request("radio_presets", nil, function(problem, result)
    if result then
      learn(result.presets)
    end
    failure.deliver(callback, problem, result and result.presets)
  end)
end

---@param words string
---@return lofi.Preset? preset letter case aside
local function named(words)
  for _, preset in ipairs(M.known()) do
    if preset.name:lower() == words:lower() then
      return preset
    end
  end
end

---The preset of that name; one that is not known here may be the user's own, so the daemon is asked.
---@param words string
---@param callback fun(problem?: lofi.Failure, preset?: lofi.Preset)
function M.find(words, callback)
  local preset = named(words)
  if preset then
    return callback(nil, preset)
  end
  M.ask(function(problem)
    callback(problem, not problem and named(words) or nil)
  end)
end

return M
