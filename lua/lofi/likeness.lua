---New music that begins with other music: a track, or a sound file.

local able = require("lofi.able")
local complete = require("lofi.complete")
local config = require("lofi.config")
local editing = require("lofi.editing")
local failure = require("lofi.failure")
local jobs = require("lofi.jobs")
local message = require("lofi.message")
local parameters = require("lofi.parameters")
local tracks = require("lofi.tracks")

local M = {}

local SOUND_FILES =
  { "wav", "flac", "mp3", "ogg", "opus", "oga", "aif", "aiff", "au", "caf", "w64" }

---@type lofi.Wish
local LIKENESS = {
  can = function(backend)
    return vim.list_contains(backend.tasks or {}, "from_audio")
  end,
  does = "makes music like other music",
  lacks = "cannot make music like other music",
}

---@param path string
---@return boolean by its name
local function is_sound(path)
  return vim.list_contains(SOUND_FILES, (path:match("%.(%w+)$") or ""):lower())
end

---What was typed, split at blanks but those behind a backslash.
---@param words string[]
---@return string[]
local function unescaped(words)
  local parts = {}
  for _, word in ipairs(words) do
    local last = parts[#parts]
    if last and last:match("\\$") then
      parts[#parts] = last:gsub("\\$", " ") .. word
    else
      parts[#parts + 1] = word
    end
  end
  return parts
end

---@param word? string
---@return string? path the whole path of what looks like a file
local function path_of(word)
  if not word or not (word:match("^[/~]") or word:match("^%.%.?/") or is_sound(word)) then
    return nil
  end
  return vim.fn.fnamemodify(vim.fs.normalize((word:gsub("\\(.)", "%1"))), ":p")
end

---@param options lofi.GenerateOptions
---@param strength? number
---@param source { track_id: string, prompt: string, backend?: string }
local function make_like(options, strength, source)
  local names = { named = options.backend, preferred = source.backend }
  able.find(LIKENESS, names, function(problem, backend)
    if problem then
      return failure.show(problem)
    end
    local asked = vim.tbl_extend("force", options, {
      task = "from_audio",
      strength = strength,
      backend = backend,
      play = config.get().autoplay,
    })
    if asked.prompt == "" then
      asked.prompt = nil -- the source's
    end
    jobs.remake(source, asked)
  end)
end

---@param words string[] how far to go as "strength=0.6", and parameters
---@return string[] others
---@return number? strength
---@return string? problem
local function take_strength(words)
  local others, strength = {}, nil
  for _, word in ipairs(words) do
    local text = word:match("^strength=(.*)$")
    if text then
      strength = tonumber(text)
      if not strength or not (strength >= 0 and strength <= 1) then
        return others, nil, ("strength=%s is not how far to go: that is from 0 to 1"):format(text)
      end
    else
      others[#others + 1] = word
    end
  end
  return others, strength
end

---@param words string[] perhaps a track's id or a sound file, then what it should be like
function M.make(words)
  local rest = unescaped(words)
  local id = tracks.is_id(rest[1]) and table.remove(rest, 1) or nil
  local path = not id and path_of(rest[1]) or nil
  if path then
    table.remove(rest, 1)
  end
  local others, strength, problem = take_strength(rest)
  local options, unknown = parameters.from_words(others)
  if problem or not options then
    return message.complain(
      problem or unknown --[[@as string]],
      "`:Lofi like strength=0.3 flute` stays near, 1 goes far."
    )
  elseif path and vim.fn.filereadable(path) == 0 then
    return message.complain(("there is no sound file %s"):format(path))
  elseif path and options.prompt == "" then
    return message.complain(
      "what should the music be like?",
      "A sound file has no words of its own: `:Lofi like song.wav slow piano`."
    )
  elseif path then
    return make_like(options, strength, { track_id = path, prompt = options.prompt })
  end
  editing.with_track({ id }, function(track)
    make_like(options, strength, track)
  end)
end

---@param words string[]
---@param lead string
---@return string[] sound files and folders
function M.complete(words, lead)
  if #words > 0 then
    return vim.list_extend(
      complete.matching({ "strength=" }, lead),
      complete.parameters(words, lead)
    )
  end
  local files = vim.tbl_filter(function(path)
    return path:match("/$") ~= nil or is_sound(path)
  end, vim.fn.getcompletion((lead:gsub("\\(.)", "%1")), "file"))
  local ids = lead ~= "" and complete.track_ids(lead) or {}
  return vim.list_extend(vim.tbl_map(vim.fn.fnameescape, files), ids)
end

return M
