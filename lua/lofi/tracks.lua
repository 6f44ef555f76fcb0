---The track cache: listed, searched, kept and deleted.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")
local message = require("lofi.message")
local player = require("lofi.player")
local presets = require("lofi.presets")

-- An answer of this many tracks is decoded in under a millisecond.
local PAGE = 50
-- The picker shows this many of the newest; who has more asks with words: `:Lofi tracks rain`.
local MOST = 1000
-- A deleted track can be had back for so long.
local UNDO_MS = 10000

---@class lofi.CachedTrack
---@field track_id string
---@field prompt string
---@field seed integer|string
---@field backend string
---@field model_version? string
---@field created_at string
---@field duration_sec number
---@field waveform number[] 64 peaks from 0 to 1
---@field kept boolean
---@field loudness_lufs? number
---@field last_played_at? string
---@field parent? string the track that it was asked from
---@field task? string what was made of its source
---@field source? string
---@field span? number[]
---@field strength? number

local M = {}

---@type lofi.CachedTrack[] deleted for the user, and still there; the last one last
local going = {}

---@param options? { query?: string, limit?: integer, offset?: integer }
---@param callback? fun(problem?: lofi.Failure, tracks?: lofi.CachedTrack[], total?: integer)
function M.list(options, callback)
  local params = vim.tbl_extend("keep", options or {}, { limit = PAGE })
  daemon.request("tracks_list", params, function(problem, result)
    if problem then
      failure.deliver(callback, problem)
    elseif callback then
      callback(nil, result.tracks, result.total)
    end
  end)
end

---@param query? string
---@param callback fun(problem?: lofi.Failure, tracks?: lofi.CachedTrack[])
---@param so_far? lofi.CachedTrack[]
local function list_all(query, callback, so_far)
  local found = so_far or {}
  M.list({ query = query, offset = #found }, function(problem, page, total)
    if problem then
      return callback(problem)
    end
    vim.list_extend(found, page)
    if #page == 0 or #found >= math.min(total, MOST) then
      callback(nil, found)
    else
      list_all(query, callback, found)
    end
  end)
end

---@param word? string
---@return boolean whether a track may have that id
function M.is_id(word)
  return word ~= nil and #word == 16 and word:match("^%x+$") ~= nil
end

---@param track string track id, or words of a prompt
---@param callback fun(problem?: lofi.Failure, track_id?: string) the newest track that has the words
function M.find(track, callback)
  if M.is_id(track) then
    return callback(nil, track)
  end
  M.list({ query = track, limit = 1 }, function(problem, found)
    if not problem and #found == 0 then
      local said = ("no track's prompt contains %q"):format(track)
      problem = failure.new("TRACK_NOT_FOUND", said, ":Lofi tracks lists them.")
    end
    callback(problem, found and found[1] and found[1].track_id)
  end)
end

---@param track_id string
---@param callback fun(problem?: lofi.Failure, track?: lofi.CachedTrack)
local function by_id(track_id, callback)
  M.list({ query = track_id }, function(problem, found)
    for _, each in ipairs(found or {}) do
      if each.track_id == track_id then
        return callback(nil, each)
      end
    end
    local said = ("there is no track %s yet"):format(track_id)
    local hint = ":Lofi tracks lists those that there are."
    callback(problem or failure.new("TRACK_NOT_FOUND", said, hint))
  end)
end

---@param track? string track id, or words of a prompt; nil for the one that plays
---@param callback fun(problem?: lofi.Failure, track?: lofi.CachedTrack) all that is known of it
function M.get(track, callback)
  track = track or player.state().track_id
  if not track then
    return vim.schedule(function()
      callback(
        failure.new("TRACK_NOT_FOUND", "nothing is playing", "Name a track, or play one first.")
      )
    end)
  end
  if M.is_id(track) then
    return by_id(track, callback)
  end
  M.find(track, function(problem, track_id)
    if problem then
      return callback(problem)
    end
    by_id(assert(track_id), callback)
  end)
end

---@param track? string track id, or words of a prompt; nil for the one that plays
---@param kept? boolean default true
---@param callback? fun(problem?: lofi.Failure, result?: table)
function M.keep(track, kept, callback)
  track = track or player.state().track_id
  if not track then
    return vim.schedule(function()
      failure.deliver(
        callback,
        failure.new("TRACK_NOT_FOUND", "nothing is playing", ":Lofi keep {words} names a track.")
      )
    end)
  end
  M.find(track, function(problem, track_id)
    if problem then
      return failure.deliver(callback, problem)
    end
    daemon.request("tracks_keep", { track_ids = { track_id }, kept = kept ~= false }, callback)
  end)
end

---@param track_ids string|string[]
---@param callback? fun(problem?: lofi.Failure, result?: { deleted: string[], bytes_freed: integer })
function M.delete(track_ids, callback)
  if type(track_ids) == "string" then
    track_ids = { track_ids }
  end
  require("lofi.complete").forget("tracks")
  daemon.request("tracks_delete", { track_ids = track_ids }, callback)
end

---@param track lofi.CachedTrack
---@return boolean was it among those that were still to go
local function stays(track)
  for index, each in ipairs(going) do
    if each == track then
      table.remove(going, index)
      return true
    end
  end
  return false
end

---Asks, and deletes the track a while later, so that it can be had back.
---@param track lofi.CachedTrack
---@return boolean deleted
function M.ask_to_delete(track)
  local name = presets.title(track.prompt)
  if track.track_id == player.state().track_id then
    message.complain(("%s plays now"):format(name), ":Lofi skip or :Lofi stop first.")
    return false
  elseif vim.fn.confirm(("Delete %s?"):format(name), "&Delete\n&No", 2) ~= 1 then
    return false
  end
  going[#going + 1] = track
  message.say(("deleted %s; :Lofi undo brings it back"):format(name))
  vim.defer_fn(function()
    if stays(track) then
      M.delete(track.track_id)
    end
  end, UNDO_MS)
  return true
end

---Brings the track back that was deleted last.
function M.undo()
  local track = table.remove(going)
  if track then
    message.say(("%s is back"):format(presets.title(track.prompt)))
  else
    message.say("nothing was deleted in the last seconds")
  end
end

---Neovim ends: what was deleted goes now.
function M.leave()
  local track_ids = vim.tbl_map(function(track)
    return track.track_id
  end, going)
  going = {}
  if #track_ids > 0 then
    M.delete(track_ids, function() end)
  end
end

---@param track_ids string|string[]
---@param callback? fun(problem?: lofi.Failure, result?: { track_ids: string[] })
function M.queue(track_ids, callback)
  if type(track_ids) == "string" then
    track_ids = { track_ids }
  end
  daemon.request("playlist_add", { track_ids = track_ids }, callback)
end

---Opens the picker over the cache.
---@param query? string only tracks whose prompt contains this
function M.pick(query)
  list_all(query ~= "" and query or nil, function(problem, tracks)
    if problem then
      return failure.show(problem)
    end
    tracks = vim.tbl_filter(function(track)
      return not vim.iter(going):any(function(each)
        return each.track_id == track.track_id
      end)
    end, tracks)
    if #tracks > 0 then
      require("lofi.pickers").get().open(tracks)
    elseif query and query ~= "" then
      message.say(("no track's prompt contains %q"):format(query))
    else
      message.say("no tracks yet; `:Lofi {prompt}` makes one")
    end
  end)
end

return M
