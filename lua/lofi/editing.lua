---Music from music: a track again, another near it, more of it, a part of it anew.

local config = require("lofi.config")
local failure = require("lofi.failure")
local jobs = require("lofi.jobs")
local message = require("lofi.message")
local parameters = require("lofi.parameters")
local tracks = require("lofi.tracks")

local M = {}

local USUAL_EXTENSION_SEC = 30

---@param text string such as "1:10" or "70"
---@return number? seconds
local function seconds_of(text)
  local minutes, seconds = text:match("^(%d+):(%d%d)$")
  if minutes then
    return minutes * 60 + seconds
  end
  local plain = text:match("^%d+%.?%d*s?$")
  return plain and tonumber((plain:gsub("s$", ""))) or nil
end

---@param text string such as "0:40-1:10"
---@return number[]? span from and to, in seconds
function M.span_of(text)
  local from, to = text:match("^([%d:%.s]+)%-([%d:%.s]+)$")
  local start, stop = from and seconds_of(from), to and seconds_of(to)
  return start and stop and { start, stop } or nil
end

---@param words string[] of a track's prompt, or its id; none for the track that plays
---@param done fun(track: lofi.CachedTrack)
function M.with_track(words, done)
  local named = table.concat(words, " ")
  tracks.get(named ~= "" and named or nil, function(problem, track)
    if problem then
      failure.show(problem)
    else
      done(assert(track))
    end
  end)
end

---@param words string[] a track or what it should be like, and parameters such as "steps=8"
---@param done fun(options: lofi.GenerateOptions, words: string)
local function with_parameters(words, done)
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem --[[@as string]])
  end
  local others = options.prompt
  options.prompt = nil
  done(options, others)
end

---The same request with a new seed: also of a track that began with another one.
---@param track lofi.CachedTrack
function M.make_again(track)
  if track.task then
    local flows = track.task == "flow" -- its span follows from its source and its length
    return jobs.remake({ track_id = track.source, prompt = track.prompt }, {
      task = track.task,
      span = not flows and track.span or nil,
      duration_sec = flows and track.duration_sec or nil,
      strength = track.strength,
      backend = track.backend,
      prompt = track.prompt,
      play = true,
    })
  end
  local options = { prompt = track.prompt, play = true }
  for _, parameter in ipairs(parameters.list) do
    options[parameter.name] = track[parameter.name]
  end
  options.seed, options.variation, options.variation_seed = nil, nil, nil
  return jobs.generate(options)
end

---@param words string[]
function M.again(words)
  M.with_track(words, M.make_again)
end

---@param words string[] how far to go, and a track
function M.vary(words)
  local strength = tonumber(words[1] or "")
  if strength and not (strength >= 0 and strength <= 1) then
    return message.complain(
      ("%s is not how far to go: that is from 0 to 1"):format(words[1]),
      "`:Lofi vary 0.3` stays near, `:Lofi vary 1` is another track."
    )
  end
  with_parameters(vim.list_slice(words, strength and 2 or 1), function(options, named)
    M.with_track({ named }, function(track)
      options.task, options.strength, options.play = "variation", strength, config.get().autoplay
      jobs.remake(track, options)
    end)
  end)
end

---@param words string[] how many seconds, and a track
function M.extend(words)
  local more = seconds_of(words[1] or "")
  if more == 0 then
    return message.complain("0 seconds are no more than there is", "`:Lofi extend 60`.")
  end
  with_parameters(vim.list_slice(words, more and 2 or 1), function(options, named)
    M.with_track({ named }, function(track)
      local length = track.duration_sec
      options.task, options.play = "extend", config.get().autoplay
      options.span = { length, length + (more or USUAL_EXTENSION_SEC) }
      jobs.remake(track, options)
    end)
  end)
end

---@param words string[] perhaps a track's id, a span, and what it should be like
function M.redo(words)
  local rest = vim.deepcopy(words)
  local id = tracks.is_id(rest[1]) and table.remove(rest, 1)
  local span = rest[1] and M.span_of(table.remove(rest, 1))
  if not span then
    return message.complain(
      "which part should be made anew?",
      "`:Lofi redo 0:40-1:10`, or with other words `:Lofi redo 0:40-1:10 flute, no drums`."
    )
  end
  with_parameters(rest, function(options, prompt)
    M.with_track({ id or nil }, function(track)
      options.task, options.span, options.play = "repaint", span, config.get().autoplay
      options.prompt = prompt ~= "" and prompt or nil
      jobs.remake(track, options)
    end)
  end)
end

return M
