---What happens, for whoever wants to know: Lua functions and `User` autocommands.

local session = require("lofi.session")

local M = {}

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
  local id = session.next_listener
  session.next_listener = id + 1
  session.listeners[event] = session.listeners[event] or {}
  session.listeners[event][id] = listener
  return function()
    session.listeners[event][id] = nil
  end
end

---@param event lofi.Event
---@param action fun(...)
---@param ... any
local function guarded(event, action, ...)
  local fine, problem = xpcall(action, debug.traceback, ...)
  if not fine then
    vim.notify(
      ("lofi: error in a listener of %s:\n%s"):format(event, problem),
      vim.log.levels.ERROR
    )
  end
end

---Call on the main loop only. An error in one listener is shown and keeps no other from hearing.
---@param event lofi.Event
---@param data table
function M.emit(event, data)
  session.revision = session.revision + 1
  local listeners = session.listeners[event] or {}
  local ids = vim.tbl_keys(listeners)
  table.sort(ids)
  for _, id in ipairs(ids) do
    -- a listener called before may have unsubscribed this one
    if listeners[id] then
      guarded(event, listeners[id], data)
    end
  end
  guarded(event, vim.api.nvim_exec_autocmds, "User", {
    pattern = M.pattern(event),
    modeline = false,
    data = data,
  })
end

return M
