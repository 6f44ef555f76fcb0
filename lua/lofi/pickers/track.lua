---What a track looks like in a picker, and what can be done with it there.

local message = require("lofi.message")
local parameters = require("lofi.parameters")
local presets = require("lofi.presets")
local text = require("lofi.text")
local tracks = require("lofi.tracks")

local BLOCKS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local NAME_WIDTH = 32
local WAVEFORM_WIDTH = 12

---@class lofi.TrackAction
---@field name string
---@field label string
---@field key string what pickers with keys bind it to; none that telescope, snacks or fzf-lua use
---@field run fun(track: lofi.CachedTrack): boolean? gone whether the track leaves the list
---@field stays? boolean the picker stays open

local M = {}

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

---@param stamp string such as "2026-03-01T12:00:00.000Z"
---@return string time of this machine's clock, such as "2026-03-01 13:00"
local function when(stamp)
  local year, month, day, hour, minute = stamp:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+)")
  if not year then
    return text.shown(stamp)
  end
  local utc =
    os.time({ year = year, month = month, day = day, hour = hour, min = minute, isdst = false })
  local here = os.date("*t", utc)
  local there = os.date("!*t", utc)
  here.isdst = false
  return os.date("%Y-%m-%d %H:%M", utc + os.difftime(os.time(here), os.time(there))) --[[@as string]]
end

---@param track lofi.CachedTrack
---@return string line
function M.label(track)
  local name = text.shorten(presets.title(track.prompt), NAME_WIDTH)
  local mark = track.parent and "↳ " or ""
  name = text.shorten(mark .. name, NAME_WIDTH)
  return ("%s %s%s  %5s  %s  %s"):format(
    track.kept and "★" or " ",
    name,
    (" "):rep(NAME_WIDTH - vim.api.nvim_strwidth(name)),
    text.clock(track.duration_sec),
    M.waveform(track.waveform or {}, WAVEFORM_WIDTH),
    when(track.created_at)
  )
end

---@param track lofi.CachedTrack
---@return string? origin what it was made from and how, nil where it began with nothing
function M.origin(track)
  if not track.parent and not track.task then
    return nil
  end
  local parts = { track.parent or text.shown(track.source) }
  local task = track.task or "variation"
  parts[2] = track.span
      and ("%s %s-%s"):format(
        task,
        text.clock(math.max(0, track.span[1])),
        text.clock(track.span[2])
      )
    or task
  return table.concat(parts, ", ")
end

---@param track lofi.CachedTrack
---@return string[] lines
function M.details(track)
  local lines = M.tall_waveform(track.waveform or {}, 3)
  lines[#lines + 1] = ""
  lines[#lines + 1] = text.shown(track.prompt)
  lines[#lines + 1] = ""
  local function row(name, value)
    if value ~= nil then
      lines[#lines + 1] = ("%-10s %s"):format(name, text.shown(value))
    end
  end
  row("seed", tostring(track.seed))
  row("model", track.backend .. (track.model_version and " " .. track.model_version or ""))
  row("made", when(track.created_at))
  row("length", text.clock(track.duration_sec))
  for _, parameter in ipairs(parameters.list) do
    local value = track[parameter.name]
    if
      value ~= nil and not vim.list_contains({ "seed", "backend", "duration_sec" }, parameter.name)
    then
      row(parameter.key, tostring(value))
    end
  end
  row("from", M.origin(track))
  row("loudness", track.loudness_lufs and ("%.1f LUFS"):format(track.loudness_lufs))
  row("played", track.last_played_at and when(track.last_played_at))
  row("kept", track.kept and "yes" or nil)
  return lines
end

---@param track lofi.CachedTrack
local function same_seed(track)
  local options = { prompt = track.prompt, play = true }
  for _, parameter in ipairs(parameters.list) do
    options[parameter.name] = track[parameter.name]
  end
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
    key = "<M-n>",
    run = function(track)
      tracks.queue(track.track_id, function(problem)
        if problem then
          require("lofi.failure").show(problem)
        else
          message.say(("%s is played next"):format(presets.title(track.prompt)))
        end
      end)
    end,
    stays = true,
  },
  {
    name = "keep",
    label = "Keep, or keep no longer",
    key = "<M-s>",
    run = function(track)
      track.kept = not track.kept
      tracks.keep(track.track_id, track.kept)
    end,
    stays = true,
  },
  {
    name = "delete",
    label = "Delete",
    key = "<M-x>",
    run = function(track)
      return tracks.ask_to_delete(track)
    end,
    stays = true,
  },
  {
    name = "copy_seed",
    label = "Copy the seed",
    key = "<M-y>",
    run = function(track)
      vim.fn.setreg('"', tostring(track.seed))
      -- a system without a clipboard has the seed in the unnamed register all the same
      pcall(vim.fn.setreg, "+", tostring(track.seed))
      message.say("seed " .. tostring(track.seed))
    end,
    stays = true,
  },
  {
    name = "again",
    label = "Generate again, same seed",
    key = "<M-e>",
    run = function(track)
      same_seed(track)
    end,
  },
  {
    name = "vary",
    label = "Generate again, new seed",
    key = "<M-v>",
    run = function(track)
      require("lofi.editing").make_again(track)
    end,
  },
  {
    name = "like",
    label = "Make new music like it",
    key = "<M-l>",
    run = function(track)
      vim.ui.input({ prompt = "lofi like this, but: " }, function(words)
        if words then
          local said = vim.split(vim.trim(words), "%s+", { trimempty = true })
          require("lofi.likeness").make({ track.track_id, unpack(said) })
        end
      end)
    end,
  },
}

---Runs an action on a track of a list, and takes the track out of the list where it is gone.
---@param action lofi.TrackAction
---@param track lofi.CachedTrack
---@param list lofi.CachedTrack[]
function M.run(action, track, list)
  if action.run(track) then
    for index, each in ipairs(list) do
      if each == track then
        table.remove(list, index)
        break
      end
    end
  end
end

return M
