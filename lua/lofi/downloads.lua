---Model downloads: started here, followed by what the daemon reports.

local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")

---@class lofi.Download
---@field backend string
---@field percent number
---@field file_name? string

local M = {}

---@type table<string, lofi.Download> by backend
local running = {}

---@return table<string, lofi.Download> downloads by backend
function M.active()
  return running
end

---@param backend string
---@param callback? fun(problem?: lofi.Failure, result?: { started: boolean, already_installed: boolean })
function M.start(backend, callback)
  daemon.request("download_backend", { backend = backend }, callback)
end

---@param event lofi.Event
---@param params table
local function finish(event, params)
  running[params.backend] = nil
  events.emit(event, params)
end

---The daemon says no more of a download that was cancelled, so that its answer is the end of it.
---@param backend string
---@param callback? fun(problem?: lofi.Failure, result?: table)
function M.cancel(backend, callback)
  daemon.request("cancel", { backend = backend }, function(problem, result)
    if not problem and running[backend] then
      finish("download_error", { backend = backend, code = "CANCELLED", message = "cancelled" })
    end
    failure.deliver(callback, problem, result)
  end)
end

---@type table<string, fun(params: table)>
M.notifications = {
  download_progress = function(params)
    running[params.backend] = {
      backend = params.backend,
      percent = params.overall_percent or 0,
      file_name = params.file_name,
    }
    events.emit("download_progress", params)
  end,
  download_complete = function(params)
    require("lofi.complete").forget("backends")
    finish("download_complete", params)
  end,
  download_error = function(params)
    finish("download_error", params)
    failure.show(failure.new(params.code, params.message, params.hint))
  end,
}

---@param reason lofi.Failure
function M.daemon_ended(reason)
  for backend in pairs(running) do
    finish("download_error", { backend = backend, code = reason.code, message = reason.message })
  end
end

return M
