---Model downloads: started here, followed by what the daemon reports.

local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")
local session = require("lofi.session")

local M = {}

---@param backend string
---@param callback? fun(problem?: lofi.Failure, result?: { started: boolean, already_installed: boolean })
function M.start(backend, callback)
  daemon.request("download_backend", { backend = backend }, callback)
end

---@param event lofi.Event
---@param params table
local function finish(event, params)
  session.downloads[params.backend] = nil
  events.emit(event, params)
end

---The daemon says no more of a download that was cancelled, so that its answer is the end of it.
---@param backend string
---@param callback? fun(problem?: lofi.Failure, result?: table)
function M.cancel(backend, callback)
  daemon.request("cancel", { backend = backend }, function(problem, result)
    if not problem and session.downloads[backend] then
      finish("download_error", { backend = backend, code = "CANCELLED", message = "cancelled" })
    end
    failure.deliver(callback, problem, result)
  end)
end

---@type table<string, fun(params: table)>
M.notifications = {
  download_progress = function(params)
    session.downloads[params.backend] = {
      backend = params.backend,
      percent = params.overall_percent or 0,
      file_name = params.file_name,
    }
    events.emit("download_progress", params)
  end,
  download_complete = function(params)
    session.known.backends = nil
    finish("download_complete", params)
  end,
  download_error = function(params)
    finish("download_error", params)
    failure.show(failure.new(params.code, params.message, params.hint))
  end,
}

---@param reason lofi.Failure
function M.daemon_ended(reason)
  for backend in pairs(session.downloads) do
    finish("download_error", { backend = backend, code = reason.code, message = reason.message })
  end
end

return M
