---The daemon's life: found, started on first use, spoken to, started again after a crash, shut
---down with Neovim.

local config = require("lofi.config")
local discovery = require("lofi.discovery")
local events = require("lofi.events")
local failure = require("lofi.failure")
local process = require("lofi.process")
local rpc = require("lofi.rpc")
local session = require("lofi.session")

-- A daemon that ran this long before it ended was fine: the next crash counts as the first.
local STABLE_AFTER_MS = 30000
local LONGEST_BACKOFF_MS = 30000

local M = {}

---@return integer milliseconds
local function backoff()
  if session.failures < 2 then
    return 0
  end
  return math.min(LONGEST_BACKOFF_MS, 1000 * 2 ^ (session.failures - 2))
end

---@param daemon lofi.Daemon
---@param reason lofi.Failure
local function fail_queue(daemon, reason)
  local queue = daemon.queue
  daemon.queue = {}
  for _, waiting in ipairs(queue) do
    waiting.callback(reason)
  end
end

---@param daemon lofi.Daemon
---@param code integer
---@param signal integer
local function ended(daemon, code, signal)
  if daemon.phase == "ended" then
    return
  end
  local was_ready = daemon.phase == "ready"
  daemon.phase = "ended"
  if session.daemon == daemon then
    session.daemon = nil
  end
  local lived = vim.uv.now() - (daemon.started_at or 0)
  local reason = daemon.refused
  if daemon.stopping then
    reason = failure.new("DAEMON_EXITED", "the daemon was stopped before it could answer")
    session.failures = 0
  else
    if reason and reason.code == "DAEMON_NOT_FOUND" then
      session.failures = 0 -- nothing ran: the next try need not wait
    else
      session.failures = lived > STABLE_AFTER_MS and 1 or session.failures + 1
    end
    local how = signal ~= 0 and ("killed by signal %d"):format(signal)
      or ("exit status %d"):format(code)
    local said = process.last_words(daemon)
    reason = reason
      or failure.new(
        "DAEMON_EXITED",
        ("the daemon ended (%s)%s"):format(how, said ~= "" and "; its last words:\n" .. said or ""),
        was_ready and "It is started again when it is next needed; :Lofi log has more."
          or "`:checkhealth lofi` looks for the cause."
      )
  end

  daemon.connection:close(reason)
  fail_queue(daemon, reason)
  require("lofi.jobs").daemon_ended(reason)
  require("lofi.player").daemon_ended()
  require("lofi.downloads").daemon_ended(reason)
  if not daemon.stopping and not session.leaving then
    failure.show(reason)
  end
  events.emit("daemon_exit", {
    code = code,
    signal = signal,
    expected = daemon.stopping,
    message = reason.message,
  })
  for _, action in ipairs(daemon.on_end) do
    action()
  end
end

---@param method string
---@param params table
local function notified(method, params)
  local module = method:match("^generation_") and "lofi.jobs"
    or method:match("^download_") and "lofi.downloads"
    or "lofi.player"
  local handler = require(module).notifications[method]
  if handler then
    handler(params)
  end
end

---Sends what has waited for the daemon, after the player's options.
---@param daemon lofi.Daemon
local function ready(daemon)
  local player = config.get().player
  if next(player) then
    daemon.connection:request("player_set", player, function(problem, state)
      if problem then
        failure.show(problem, vim.log.levels.WARN)
      else
        require("lofi.player").took(state)
      end
    end)
  end
  local queue = daemon.queue
  daemon.queue = {}
  for _, waiting in ipairs(queue) do
    daemon.connection:request(waiting.method, waiting.params, waiting.callback)
  end
end

local function hook_exit()
  if session.exit_hook then
    return
  end
  session.exit_hook = true
  vim.api.nvim_create_autocmd("VimLeavePre", {
    group = vim.api.nvim_create_augroup("lofi", { clear = true }),
    desc = "Shut the lofi daemon down",
    callback = M.leave,
  })
end

---@return lofi.Daemon? daemon nil where none is to be found
---@return lofi.Failure? reason
local function start()
  local command, origin = discovery.find()
  if not command then
    return nil,
      failure.new(
        "DAEMON_NOT_FOUND",
        "lofi-daemon is not installed: " .. origin,
        "Run `make install` in "
          .. discovery.plugin_root()
          .. ", or set the option cmd; `:checkhealth lofi` has more."
      )
  end
  hook_exit()
  if not session.feedback then
    session.feedback = true
    require("lofi.progress").attach()
  end
  ---@type lofi.Daemon
  local daemon = {
    phase = "waiting",
    command = command,
    origin = origin,
    queue = {},
    strays = {},
    stopping = false,
    on_end = {},
  }
  session.daemon = daemon
  session.log = {}
  local delay = backoff()
  if delay == 0 then
    process.start(daemon, { ready = ready, notified = notified, ended = ended })
  else
    vim.notify(
      ("lofi: the daemon has ended %d times in a row; it is started again in %d s"):format(
        session.failures,
        delay / 1000
      ),
      vim.log.levels.WARN,
      { title = "lofi" }
    )
    vim.defer_fn(function()
      process.start(daemon, { ready = ready, notified = notified, ended = ended })
    end, delay)
  end
  return daemon
end

---Asks the daemon something; starts it where it does not run.
---@param method string
---@param params? table
---@param callback? fun(failure?: lofi.Failure, result?: any) once, on the main loop; without one a
---failure is shown to the user
function M.request(method, params, callback)
  local function answer(problem, result)
    failure.deliver(callback, problem, result)
  end
  local daemon, reason = session.daemon, nil
  if not daemon then
    daemon, reason = start()
  end
  if not daemon then
    vim.schedule(function()
      answer(reason)
    end)
  elseif daemon.stopping then
    daemon.on_end[#daemon.on_end + 1] = function()
      M.request(method, params, callback)
    end
  elseif daemon.phase == "ready" then
    daemon.connection:request(method, params, answer)
  else
    daemon.queue[#daemon.queue + 1] = { method = method, params = params, callback = answer }
  end
end

---@return boolean ready whether a daemon runs and has answered its ping
function M.is_ready()
  return session.daemon ~= nil and session.daemon.phase == "ready"
end

---Ends the daemon in good order; whatever it was doing is cancelled.
---@param callback? fun()
function M.stop(callback)
  local daemon = session.daemon
  if not daemon then
    session.failures = 0
    if callback then
      vim.schedule(callback)
    end
    return
  end
  daemon.on_end[#daemon.on_end + 1] = callback
  if daemon.stopping then
    return
  end
  daemon.stopping = true
  if daemon.phase == "waiting" then
    daemon.connection = daemon.connection or rpc.connect(function() end, notified, function() end)
    vim.schedule(function()
      ended(daemon, 0, 0)
    end)
    return
  end
  daemon.connection:request("shutdown", nil, function() end)
  daemon.process:write(nil)
  vim.defer_fn(function()
    process.kill(daemon)
  end, 3000)
end

---@param callback? fun(failure?: lofi.Failure, result?: { version: string })
function M.restart(callback)
  M.stop(function()
    M.request("ping", nil, callback)
  end)
end

---Neovim exits: the daemon gets the two seconds its protocol grants it, then it is killed.
function M.leave()
  session.leaving = true
  local daemon = session.daemon
  if not daemon or not daemon.process then
    return
  end
  M.stop()
  local function gone()
    return daemon.phase == "ended"
  end
  if not vim.wait(1000, gone, 10) then
    daemon.process:kill("sigterm")
    if not vim.wait(1000, gone, 10) then
      process.kill(daemon)
    end
  end
end

return M
