---What happens, for whoever wants to know: Lua functions and `User` autocommands.

local M = {}

---@type table<string, table<integer, fun(data: table)>>
local listeners = {}
local next_listener = 1
local revision = 0

---@alias lofi.Event
---| "generation_start" a request was accepted, or the radio began a track
---| "generation_progress"
---| "generation_complete"
---| "generation_error"
---| "generation_cancelled"
---| "download_progress"
---| "download_complete"
---| "download_error"
---| "playback_start"
---| "playback_pause"
---| "playback_resume"
---| "playback_end"
---| "radio_waiting" the radio's next track is late
---| "daemon_exit"

---@type lofi.Event[]
M.names = {
  "generation_start",
  "generation_progress",
  "generation_complete",
  "generation_error",
  "generation_cancelled",
  "download_progress",
  "download_complete",
  "download_error",
  "playback_start",
  "playback_pause",
  "playback_resume",
  "playback_end",
  "radio_waiting",
  "daemon_exit",
}

---@param event lofi.Event
---@return string pattern "generation_start" becomes "LofiGenerationStart"
function M.pattern(event)
  return "Lofi" .. (("_" .. event):gsub("_(%l)", string.upper))
end

---@param event lofi.Event
---@param listener fun(data: table)
---@return fun() unsubscribe
function M.on(event, listener)
  if not vim.list_contains(M.names, event) then
    error(("lofi: unknown event %q; known are %s"):format(event, table.concat(M.names, ", ")), 2)
  end
  local id = next_listener
  next_listener = id + 1
  listeners[event] = listeners[event] or {}
  listeners[event][id] = listener
  return function()
    listeners[event][id] = nil
  end
end

---@param event lofi.Event
---@param action fun(...)
---@param ... any
local function guarded(event, action, ...)
  local fine, problem = xpcall(action, debug.traceback, ...)
  if not fine then
    local first, rest = tostring(problem):match("^([^\n]*)\n?(.*)$")
    require("lofi.message").complain(("error in a listener of %s: %s"):format(event, first), rest)
  end
end

---What is known has changed: whatever was made of it is stale.
function M.changed()
  revision = revision + 1
end

---@return integer revision rises with every event and every other change of what is known
function M.revision()
  return revision
end

---Call on the main loop only. An error in one listener is shown and keeps no other from hearing.
---@param event lofi.Event
---@param data table
function M.emit(event, data)
  M.changed()
  local hearing = listeners[event] or {}
  local ids = vim.tbl_keys(hearing)
  table.sort(ids)
  for _, id in ipairs(ids) do
    -- a listener called before may have unsubscribed this one
    if hearing[id] then
      guarded(event, hearing[id], data)
    end
  end
  guarded(event, vim.api.nvim_exec_autocmds, "User", {
    pattern = M.pattern(event),
    modeline = false,
    data = data,
  })
end

return M
