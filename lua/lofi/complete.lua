---Candidates for the command line. What only the daemon knows is asked for in the background and
---remembered for a short while, so that Tab waits a moment at most.

local daemon = require("lofi.daemon")
local parameters = require("lofi.parameters")
local session = require("lofi.session")

-- The longest Tab waits for a daemon that has not told its names yet.
local PATIENCE_MS = 300
local FRESH_MS = 5000

local M = {}

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
  presets = {
    method = "radio_presets",
    names = function(result)
      return vim.tbl_map(function(preset)
        return preset.name
      end, result.presets)
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
      session.known.track_ids = vim.tbl_map(function(track)
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

---@param kind "backends"|"presets"|"devices"|"tracks"
---@param always? string[]
---@return string[]
function M.names(kind, always)
  local known = session.known
  local source = sources[kind]
  local fetched_at = "fetched_" .. kind
  if not known[kind] or vim.uv.now() - (known[fetched_at] or 0) > FRESH_MS then
    local answered = false
    daemon.request(source.method, source.params, function(problem, result)
      answered = true
      if not problem then
        session.known[kind] = source.names(result)
        session.known[fetched_at] = vim.uv.now()
      end
    end)
    vim.wait(PATIENCE_MS, function()
      return answered
    end, 5)
  end
  local names = {}
  vim.list_extend(names, always or {})
  return vim.list_extend(names, session.known[kind] or {})
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
---@return string[]
function M.track_ids(words, lead)
  M.names("tracks")
  return #words == 0 and M.matching(session.known.track_ids or {}, lead) or {}
end

---@param words string[]
---@param lead string
---@return string[]
function M.jobs(words, lead)
  if #words > 0 then
    return {}
  end
  local names = vim.tbl_keys(session.jobs)
  vim.list_extend(names, vim.tbl_keys(session.downloads))
  table.sort(names)
  return M.matching(names, lead)
end

---"duration=" and its like, and their values once the key is there.
---@param words string[]
---@param lead string
---@return string[]
function M.parameters(words, lead)
  local key, value = lead:match("^(%w+)=(.*)$")
  if not key then
    local given = {}
    for _, word in ipairs(words) do
      given[word:match("^(%w+)=") or ""] = true
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
