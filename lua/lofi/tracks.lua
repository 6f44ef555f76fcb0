---The track cache: listing, what a track looks like as text, and what can be done with it.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")
local parameters = require("lofi.parameters")
local session = require("lofi.session")

-- An answer of this many tracks is decoded in under a millisecond.
local PAGE = 50
-- The picker shows this many of the newest; who has more asks with words: `:Lofi tracks rain`.
local MOST = 1000
local BLOCKS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

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

---@class lofi.TrackAction
---@field name string
---@field label string
---@field key string what pickers with keys bind it to
---@field run fun(track: lofi.CachedTrack)

local M = {}

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

---@param track_id? string nil for the one that plays
---@param kept? boolean default true
---@param callback? fun(problem?: lofi.Failure)
function M.keep(track_id, kept, callback)
  track_id = track_id or session.player.track_id
  if not track_id then
    return vim.schedule(function()
      failure.deliver(callback, failure.new("TRACK_NOT_FOUND", "nothing is playing"))
    end)
  end
  daemon.request("tracks_keep", { track_ids = { track_id }, kept = kept ~= false }, callback)
end

---@param track_ids string|string[]
---@param callback? fun(problem?: lofi.Failure, result?: { deleted: string[], bytes_freed: integer })
function M.delete(track_ids, callback)
  if type(track_ids) == "string" then
    track_ids = { track_ids }
  end
  session.known.tracks = nil
  daemon.request("tracks_delete", { track_ids = track_ids }, callback)
end

---@param track_ids string|string[]
---@param callback? fun(problem?: lofi.Failure, result?: { track_ids: string[] })
function M.queue(track_ids, callback)
  if type(track_ids) == "string" then
    track_ids = { track_ids }
  end
  daemon.request("playlist_add", { track_ids = track_ids }, callback)
end

---@param peaks number[] 0 to 1
---@param width integer cells; neighbouring peaks are joined to their loudest
---@return string
function M.waveform(peaks, width)
  if #peaks == 0 then
    return ""
  end
  width = math.min(width, #peaks)
  local cells = {}
  for cell = 1, width do
    local from = math.floor((cell - 1) * #peaks / width) + 1
    local to = math.max(from, math.floor(cell * #peaks / width))
    local peak = 0
    for index = from, to do
      peak = math.max(peak, peaks[index])
    end
    cells[cell] = BLOCKS[math.max(1, math.min(#BLOCKS, math.ceil(peak * #BLOCKS)))]
  end
  return table.concat(cells)
end

---@param peaks number[] 0 to 1
---@param rows integer
---@return string[] lines the waveform drawn over several rows, top first
function M.tall_waveform(peaks, rows)
  local lines = {}
  for row = rows, 1, -1 do
    local cells = {}
    for index, peak in ipairs(peaks) do
      local level = math.ceil(peak * rows * #BLOCKS) - (row - 1) * #BLOCKS
      if row == 1 then
        level = math.max(1, level)
      end
      cells[index] = level < 1 and " " or BLOCKS[math.min(#BLOCKS, level)]
    end
    lines[#lines + 1] = (table.concat(cells):gsub("%s+$", ""))
  end
  return lines
end

---@param track lofi.CachedTrack
---@return string line
function M.label(track)
  local progress = require("lofi.progress")
  local prompt = progress.shorten(track.prompt, 32)
  local padding = (" "):rep(32 - vim.api.nvim_strwidth(prompt))
  return ("%s %s%s  %5s  %s  %s"):format(
    track.kept and "★" or " ",
    prompt,
    padding,
    progress.clock(track.duration_sec),
    M.waveform(track.waveform or {}, 16),
    track.created_at:sub(1, 10)
  )
end

---@param track lofi.CachedTrack
---@return string[] lines
function M.details(track)
  local lines = M.tall_waveform(track.waveform or {}, 3)
  lines[#lines + 1] = ""
  lines[#lines + 1] = track.prompt
  lines[#lines + 1] = ""
  local function row(name, value)
    if value ~= nil then
      lines[#lines + 1] = ("%-10s %s"):format(name, value)
    end
  end
  row("seed", tostring(track.seed))
  row("model", track.backend .. (track.model_version and " " .. track.model_version or ""))
  row("made", (track.created_at:gsub("T", " "):sub(1, 16)))
  row("length", require("lofi.progress").clock(track.duration_sec))
  for _, parameter in ipairs(parameters.list) do
    local value = track[parameter.name]
    if
      value ~= nil and not vim.list_contains({ "seed", "backend", "duration_sec" }, parameter.name)
    then
      row(parameter.key, tostring(value))
    end
  end
  row("loudness", track.loudness_lufs and ("%.1f LUFS"):format(track.loudness_lufs))
  row("played", track.last_played_at and track.last_played_at:gsub("T", " "):sub(1, 16))
  row("kept", track.kept and "yes" or nil)
  return lines
end

---@param track lofi.CachedTrack
---@param seed? integer|string nil for a new one
local function again(track, seed)
  local options = { prompt = track.prompt, play = true }
  for _, parameter in ipairs(parameters.list) do
    options[parameter.name] = track[parameter.name]
  end
  options.seed = seed
  require("lofi.jobs").generate(options)
end

---@type lofi.TrackAction[]
M.actions = {
  {
    name = "play",
    label = "Play",
    key = "<CR>",
    run = function(track)
      require("lofi.player").play(track.track_id)
    end,
  },
  {
    name = "queue",
    label = "Play after the current one",
    key = "<C-q>",
    run = function(track)
      M.queue(track.track_id)
    end,
  },
  {
    name = "keep",
    label = "Keep, or keep no longer",
    key = "<C-k>",
    run = function(track)
      track.kept = not track.kept
      M.keep(track.track_id, track.kept)
    end,
  },
  {
    name = "delete",
    label = "Delete",
    key = "<C-x>",
    run = function(track)
      M.delete(track.track_id)
    end,
  },
  {
    name = "copy_seed",
    label = "Copy the seed",
    key = "<C-y>",
    run = function(track)
      vim.fn.setreg('"', tostring(track.seed))
      -- a system without a clipboard has the seed in the unnamed register all the same
      pcall(vim.fn.setreg, "+", tostring(track.seed))
      vim.notify("lofi: seed " .. tostring(track.seed), vim.log.levels.INFO, { title = "lofi" })
    end,
  },
  {
    name = "again",
    label = "Generate again, same seed",
    key = "<C-s>",
    run = function(track)
      again(track, track.seed)
    end,
  },
  {
    name = "vary",
    label = "Generate again, new seed",
    key = "<C-v>",
    run = function(track)
      again(track, nil)
    end,
  },
}

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

---Opens the picker over the cache.
---@param query? string only tracks whose prompt contains this
function M.pick(query)
  list_all(query ~= "" and query or nil, function(problem, tracks)
    if problem then
      failure.show(problem)
    elseif #tracks == 0 then
      local none = query and query ~= "" and ("no track's prompt contains %q"):format(query)
        or "no tracks yet; `:Lofi {prompt}` makes one"
      vim.notify("lofi: " .. none, vim.log.levels.INFO, { title = "lofi" })
    else
      require("lofi.pickers").get().open(tracks)
    end
  end)
end

return M
