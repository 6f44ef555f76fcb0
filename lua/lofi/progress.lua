---Shows how far tracks and downloads are: turns events into items and hands them to one sink, a
---function that draws the item where the option `progress.style` says.

local config = require("lofi.config")
local events = require("lofi.events")
local session = require("lofi.session")

---@class lofi.ProgressItem
---@field id string
---@field title string the prompt, or the model that is downloaded
---@field message string
---@field percent integer
---@field status "running"|"success"|"failed"|"cancel"
---@field handle? any what the sink needs to find its message again

---@alias lofi.ProgressSink fun(item: lofi.ProgressItem)

local M = {}

---@param seconds number
---@return string clock such as "1:05"
function M.clock(seconds)
  seconds = math.max(0, math.floor(seconds))
  return ("%d:%02d"):format(math.floor(seconds / 60), seconds % 60)
end

---@param text string
---@param width integer cells
---@return string
function M.shorten(text, width)
  text = text:gsub("%s+", " ")
  if vim.api.nvim_strwidth(text) <= width then
    return text
  end
  local short = vim.fn.strcharpart(text, 0, math.max(0, width - 1))
  while vim.api.nvim_strwidth(short) > width - 1 do
    short = vim.fn.strcharpart(short, 0, vim.fn.strchars(short) - 1)
  end
  return short .. "…"
end

---Neovim 0.12's own progress messages.
---@type lofi.ProgressSink
function M.native(item)
  item.handle = vim.api.nvim_echo({ { item.message } }, item.status ~= "running", {
    id = item.handle,
    kind = "progress",
    title = item.title,
    status = item.status,
    percent = item.percent,
    source = "lofi",
  })
end

---`vim.notify` in quarters, so that without a notification plugin the message area stays calm.
---@type lofi.ProgressSink
function M.notify(item)
  local quarter = item.status == "running" and math.floor(item.percent / 25) or item.status
  if item.quarter == quarter then
    return
  end
  item.quarter = quarter
  item.handle = vim.notify(
    ("lofi: %s: %s"):format(item.title, item.message),
    item.status == "failed" and vim.log.levels.ERROR or vim.log.levels.INFO,
    { title = "lofi", id = "lofi-" .. item.id, replace = item.handle }
  )
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
---@param changes table
local function report(id, changes)
  local item = session.progress[id]
    or { id = id, title = "", message = "", percent = 0, status = "running" }
  for name, value in pairs(changes) do
    item[name] = value
  end
  session.progress[id] = item.status == "running" and item or nil
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
    parts[#parts + 1] = M.clock(data.eta_sec) .. " left"
  end
  return table.concat(parts, ", ")
end

---The radio makes tracks all the time; while one plays nobody waits for the next.
---@param data table
---@return boolean
local function wanted(data)
  return data.requested
    or session.progress[data.track_id] ~= nil
    or config.get().progress.radio
    or session.player.state ~= "playing"
end

---Listens from now on. Called once, when the first daemon starts.
function M.attach()
  local function generation(event, describe)
    events.on(event, function(data)
      if not wanted(data) then
        return
      end
      local item = session.progress[data.track_id]
      local changes = describe(data)
      changes.title = data.prompt or item and item.title or data.track_id
      report(data.track_id, changes)
    end)
  end
  generation("generation_start", function(data)
    local waiting = data.status == "queued" and (data.position or 0) > 0
    return { message = waiting and ("waiting, number %d"):format(data.position) or "starting" }
  end)
  generation("generation_progress", function(data)
    return { message = phase(data), percent = data.percent }
  end)
  generation("generation_complete", function(data)
    local took = (data.generation_time_sec or 0) > 0
        and ("made in %s"):format(M.clock(data.generation_time_sec))
      or "ready"
    return {
      message = ("%s of music, %s"):format(M.clock(data.duration_sec), took),
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
      report("download-" .. data.backend, changes)
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
