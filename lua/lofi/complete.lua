---Candidates for the command line. What only the daemon knows is asked for in the background and
---remembered for a short while, so that Tab waits a moment at most.

local daemon = require("lofi.daemon")
local parameters = require("lofi.parameters")
local presets = require("lofi.presets")

-- The longest Tab waits for a daemon that has not told its names yet.
local PATIENCE_MS = 300
local FRESH_MS = 5000

local M = {}

---@type table<string, string[]> names by kind
local known = {}
---@type table<string, number> when they were told
local told_at = {}
---@type string[] the newest tracks' ids
local track_ids = {}

---@type table<string, { method: string, params?: table, names: fun(result: table): string[] }>
local sources = {
  backends = {
    method = "get_backends",
    names = function(result)
      return vim.tbl_map(function(backend)
        return backend.type
      end, result.backends)
    end,
  },
  devices = {
    method = "audio_devices",
    names = function(result)
      return vim.tbl_map(function(device)
        return device.name
      end, result.devices)
    end,
  },
  tracks = {
    method = "tracks_list",
    params = { limit = 50 },
    names = function(result)
      local seen, prompts = {}, {}
      for _, track in ipairs(result.tracks) do
        if not seen[track.prompt] then
          seen[track.prompt] = true
          prompts[#prompts + 1] = track.prompt
        end
      end
      track_ids = vim.tbl_map(function(track)
        return track.track_id
      end, result.tracks)
      return prompts
    end,
  },
}

---@param candidates string[]
---@param lead string
---@return string[]
function M.matching(candidates, lead)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate:lower(), lead:lower())
  end, candidates)
end

---@param kind "backends"|"devices"|"tracks"
---@return string[]
function M.names(kind)
  local source = sources[kind]
  if not known[kind] or vim.uv.now() - (told_at[kind] or 0) > FRESH_MS then
    local answered = false
    daemon.request(source.method, source.params, function(problem, result)
      answered = true
      if not problem then
        known[kind] = source.names(result)
        told_at[kind] = vim.uv.now()
      end
    end)
    vim.wait(PATIENCE_MS, function()
      return answered
    end, 5)
  end
  return known[kind] or {}
end

---What is known of this kind is no longer true.
---@param kind? "backends"|"devices"|"tracks" nil for all
function M.forget(kind)
  if kind then
    known[kind] = nil
  else
    known = {}
  end
end

---What may follow `:Lofi radio`, at once; the user's own presets as soon as a daemon has told them.
---@param words string[]
---@param lead string
---@return string[]
function M.stations(words, lead)
  if daemon.is_ready() then
    presets.ask(function() end)
  end
  if words[1] == "flow" then
    return M.phrases(presets.names(), vim.list_slice(words, 2), lead)
  end
  local others = { "off", "kept", "all", "flow" }
  return M.phrases(vim.list_extend(others, presets.names()), words, lead)
end

---@return string[]
function M.backends()
  local names = M.names("backends")
  return #names > 0 and names or parameters.by_name.backend.choices
end

---Candidates that are more than one word: what is typed already is matched as a whole, and the rest
---is offered from the word at the cursor on.
---@param phrases string[]
---@param words string[]
---@param lead string
---@return string[]
function M.phrases(phrases, words, lead)
  local typed = table.concat(words, " ")
  local skipped = #words > 0 and #typed + 1 or 0
  local whole = skipped > 0 and typed .. " " .. lead or lead
  return vim.tbl_map(function(phrase)
    return phrase:sub(skipped + 1)
  end, M.matching(phrases, whole))
end

---@param words string[]
---@param lead string
---@return string[]
function M.tracks(words, lead)
  return M.phrases(M.names("tracks"), words, lead)
end

---@param words string[]
---@param lead string
---@return string[] tracks by words of their prompt, and by their id where somebody types one
function M.tracks_and_ids(words, lead)
  local found = M.tracks(words, lead)
  if #words == 0 and lead ~= "" then
    vim.list_extend(found, M.matching(track_ids, lead))
  end
  return found
end

---@param lead string
---@return string[] ids of the newest tracks
function M.track_ids(lead)
  M.names("tracks")
  return M.matching(track_ids, lead)
end

---@param words string[]
---@param lead string
---@return string[]
function M.jobs(words, lead)
  if #words > 0 then
    return {}
  end
  local names = vim.tbl_map(function(job)
    return job.track_id
  end, require("lofi.jobs").active())
  vim.list_extend(names, vim.tbl_keys(require("lofi.downloads").active()))
  table.sort(names)
  return M.matching(names, lead)
end

---"duration=" and its like, and their values once the key is there.
---@param words string[]
---@param lead string
---@return string[]
function M.parameters(words, lead)
  local key, value = lead:match("^([%w_]+)=(.*)$")
  if not key then
    local given = {}
    for _, word in ipairs(words) do
      given[word:match("^([%w_]+)=") or ""] = true
    end
    local keys = {}
    for _, parameter in ipairs(parameters.list) do
      if not given[parameter.key] then
        keys[#keys + 1] = parameter.key .. "="
      end
    end
    return M.matching(keys, lead)
  end
  local parameter = parameters.by_key[key]
  local choices = parameter and parameter.choices or {}
  if key == "backend" then
    choices = M.backends()
  end
  return vim.tbl_map(function(choice)
    return key .. "=" .. choice
  end, M.matching(choices, value))
end

return M
