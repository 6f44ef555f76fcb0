---Shows how far tracks and downloads are: turns events into items and hands them to one sink, a
---function that draws the item where the option `progress.style` says.

local config = require("lofi.config")
local events = require("lofi.events")
local message = require("lofi.message")
local player = require("lofi.player")
local presets = require("lofi.presets")
local text = require("lofi.text")

---@class lofi.ProgressItem
---@field id string
---@field title string the track's name, or the model that is downloaded
---@field message string
---@field percent integer
---@field status "running"|"success"|"failed"|"cancel"|"note"
---@field handle? any what the sink needs to find its message again
---@field drawn? string what stands there, where the sink draws on change only

---@alias lofi.ProgressSink fun(item: lofi.ProgressItem)

local M = {}

---@type table<string, lofi.ProgressItem> what is shown as under way, by id
local items = {}

-- Neovim writes "title: 100% message".
local NATIVE_EXTRA = #": 100% "
-- A title is cut to this before the message is.
local SHORTEST_TITLE = 8

---Neovim's own progress messages, in one line that fits; the corner where there is no room for one.
---@type lofi.ProgressSink
function M.native(item)
  local room = message.room() - NATIVE_EXTRA
  local said = text.shorten(item.message, math.max(1, room - SHORTEST_TITLE))
  local title = text.shorten(item.title, math.max(1, room - vim.api.nvim_strwidth(said)))
  if message.room() == 0 then
    return M.float(item)
  end
  local drawn = ("%s %d %s"):format(title, item.percent, said)
  if item.drawn == drawn and item.status == "running" then
    return
  end
  item.drawn = drawn
  vim.cmd.redraw() -- over whatever message stands there, see message.echo
  item.handle = vim.api.nvim_echo({ { said } }, item.status ~= "running", {
    id = item.handle,
    kind = "progress",
    title = title,
    status = item.status,
    percent = item.percent,
    source = "lofi",
  })
end

---`vim.notify` in quarters, so that without a notification plugin the message area stays calm.
---@type lofi.ProgressSink
function M.notify(item)
  local quarter = item.status == "running" and math.floor(item.percent / 25) or item.status
  if item.drawn == quarter then
    return
  end
  item.drawn = quarter
  local said = ("lofi: %s: %s"):format(item.title, item.message)
  local level = item.status == "failed" and vim.log.levels.ERROR or vim.log.levels.INFO
  if message.has_notifier() then
    item.handle =
      vim.notify(said, level, { title = "lofi", id = "lofi-" .. item.id, replace = item.handle })
  elseif message.room() > 0 then
    message.echo(message.one_line(said, nil, message.room()), level)
  else
    M.float(item)
  end
end

---@type lofi.ProgressSink
function M.fidget(item)
  item.handle = item.handle
    or require("fidget.progress").handle.create({
      title = item.title,
      message = item.message,
      percentage = item.percent,
      lsp_client = { name = "lofi" },
    })
  item.handle:report({ message = item.message, percentage = item.percent })
  if item.status == "cancel" or item.status == "failed" then
    item.handle:cancel()
  elseif item.status == "success" then
    item.handle:finish()
  end
end

---@type lofi.ProgressSink
function M.snacks(item)
  local running = item.status == "running"
  require("snacks").notifier.notify(
    item.message,
    item.status == "failed" and "error" or "info",
    { id = "lofi-" .. item.id, title = item.title, timeout = not running and 3000 or false }
  )
end

---@type lofi.ProgressSink
function M.float(item)
  require("lofi.corner").show(item)
end

---@type lofi.ProgressSink
local function silent() end

---@param style string
---@return boolean
local function available(style)
  if style == "native" then
    return vim.fn.has("nvim-0.12") == 1
  elseif style == "fidget" then
    return pcall(require, "fidget.progress")
  elseif style == "snacks" then
    return pcall(require, "snacks")
  end
  return true
end

---@return lofi.ProgressSink
function M.sink()
  local style = config.get().progress.style
  if style == "none" then
    return silent
  elseif style == "auto" then
    style = "native"
  end
  return available(style) and M[style] or M.float
end

---@param id string
---@param changes { title?: string, message?: string, percent?: integer, status?: string }
function M.report(id, changes)
  local item = items[id]
    or { id = id, title = "a track", message = "", percent = 0, status = "running" }
  for name, value in pairs(changes) do
    item[name] = value
  end
  items[id] = item.status == "running" and item or nil
  M.sink()(item)
end

---@param data table
---@return string
local function phase(data)
  local parts = { ((data.phase or "waiting"):gsub("_", " ")) }
  if data.phase == "diffusing" and data.total_steps then
    parts[1] = ("%s %d/%d"):format(parts[1], data.current_step or 0, data.total_steps)
  end
  if data.eta_sec then
    parts[#parts + 1] = text.clock(data.eta_sec) .. " left"
  end
  return table.concat(parts, ", ")
end

-- The radio's track that is ready and about to sound: it starts a moment after it is complete.
local ready = false

---The radio makes tracks all the time; while one plays, or is about to, nobody waits for the next.
---@param data table
---@return boolean
local function wanted(data)
  return data.requested
    or config.get().progress.radio
    or not (ready or player.state().state == "playing")
end

---Music plays: the radio's tracks are no longer waited for, and go on unseen.
local function quieten()
  ready = false
  for id, item in pairs(items) do
    local job = require("lofi.jobs").get(id)
    if job and #job.handles == 0 and not config.get().progress.radio then
      items[id] = nil
      if item.handle then
        item.status, item.message = "success", "goes on while the music plays"
        M.sink()(item)
      end
      require("lofi.corner").drop(id)
    end
  end
end

---Listens from now on. Called once, when the first daemon starts.
function M.attach()
  local function generation(event, describe)
    events.on(event, function(data)
      local shown = wanted(data)
      if event == "generation_complete" and not data.requested then
        ready = true
      end
      if not (shown or items[data.track_id]) then
        return
      end
      local changes = describe(data)
      changes.title = data.prompt and presets.title(data.prompt) or nil
      M.report(data.track_id, changes)
    end)
  end
  events.on("playback_start", quieten)
  events.on("playback_end", function()
    ready = false
  end)
  generation("generation_start", function(data)
    local waiting = data.status == "queued" and (data.position or 0) > 0
    return { message = waiting and ("waiting, number %d"):format(data.position) or "starting" }
  end)
  generation("generation_progress", function(data)
    return { message = phase(data), percent = data.percent }
  end)
  generation("generation_complete", function(data)
    local took = (data.generation_time_sec or 0) > 0
        and ("made in %s"):format(text.clock(data.generation_time_sec))
      or "ready"
    return {
      message = ("%s of music, %s"):format(text.clock(data.duration_sec), took),
      percent = 100,
      status = "success",
    }
  end)
  generation("generation_error", function(data)
    return { message = data.message, status = "failed" }
  end)
  generation("generation_cancelled", function()
    return { message = "cancelled", status = "cancel" }
  end)

  local function download(event, describe)
    events.on(event, function(data)
      local changes = describe(data)
      changes.title = "model " .. data.backend
      M.report("download-" .. data.backend, changes)
    end)
  end
  download("download_progress", function(data)
    return {
      message = ("%s, %.1f of %.1f GB"):format(
        data.file_name or data.component or "",
        (data.bytes_downloaded or 0) / 1e9,
        (data.bytes_total or 0) / 1e9
      ),
      percent = math.floor(data.overall_percent or 0),
    }
  end)
  download("download_complete", function()
    return { message = "downloaded", percent = 100, status = "success" }
  end)
  download("download_error", function(data)
    local status = data.code == "CANCELLED" and "cancel" or "failed"
    return { message = data.message, status = status }
  end)

  require("lofi.status").attach()
end

return M
