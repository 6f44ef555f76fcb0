---The daemon's life: found, started on first use, spoken to, started again after a crash, shut
---down with Neovim.

local config = require("lofi.config")
local discovery = require("lofi.discovery")
local events = require("lofi.events")
local failure = require("lofi.failure")
local log = require("lofi.log")
local message = require("lofi.message")
local process = require("lofi.process")

-- A daemon that ran this long before it ended was fine: the next crash counts as the first.
local STABLE_AFTER_MS = 30000
local LONGEST_BACKOFF_MS = 30000

local M = {}

---@type lofi.Daemon?
local current
-- crashes in a row; decides how long the next start waits
local failures = 0
-- Neovim is about to exit
local leaving = false
-- who shows what happens has been told to listen
local watched = false

---@return lofi.Daemon? daemon the one that runs or starts
function M.current()
  return current
end

---@param crashes integer in a row
---@return integer milliseconds until the next start
function M.backoff(crashes)
  if crashes < 2 then
    return 0
  end
  return math.min(LONGEST_BACKOFF_MS, 1000 * 2 ^ (crashes - 2))
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
  if current == daemon then
    current = nil
  end
  local lived = vim.uv.now() - (daemon.started_at or 0)
  local reason = daemon.refused
  if daemon.stopping then
    reason = failure.new("DAEMON_EXITED", "the daemon was stopped before it could answer")
    failures = 0
  else
    if reason and reason.code == "DAEMON_NOT_FOUND" then
      failures = 0 -- nothing ran: the next try need not wait
    else
      failures = lived > STABLE_AFTER_MS and 1 or failures + 1
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

  if daemon.connection then
    daemon.connection:close(reason)
  end
  fail_queue(daemon, reason)
  require("lofi.complete").forget()
  require("lofi.jobs").daemon_ended(reason)
  require("lofi.radio").daemon_ended()
  require("lofi.player").daemon_ended()
  require("lofi.downloads").daemon_ended(reason)
  if not daemon.stopping and not leaving then
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

-- Which module hears a notification, by the first word of its name.
local OWNERS = {
  generation = "lofi.jobs",
  download = "lofi.downloads",
  playback = "lofi.player",
  radio = "lofi.radio",
}

---@param method string
---@param params table
local function notified(method, params)
  local module = OWNERS[method:match("^%l+")]
  local handler = module and require(module).notifications[method]
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

---Progress, statusline and log listen, and the daemon goes with Neovim: from the first start on.
local function watch()
  if watched then
    return
  end
  watched = true
  require("lofi.progress").attach()
  require("lofi.journal").attach()
  require("lofi.announce").attach()
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
        ":Lofi install puts it into "
          .. discovery.plugin_root()
          .. "; or set the option cmd. `:checkhealth lofi` has more."
      )
  end
  watch()
  ---@type lofi.Daemon
  local daemon = {
    phase = "waiting",
    command = command,
    origin = origin,
    queue = {},
    strays = {},
    said = {},
    stopping = false,
    on_end = {},
  }
  current = daemon
  log.add(("starts %s (from %s)"):format(table.concat(command, " "), origin))
  local delay = M.backoff(failures)
  if delay == 0 then
    process.start(daemon, { ready = ready, notified = notified, ended = ended })
  else
    message.say(
      ("the daemon has ended %d times in a row; it is started again in %d s"):format(
        failures,
        delay / 1000
      ),
      vim.log.levels.WARN
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
  local daemon, reason = current, nil
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
  return current ~= nil and current.phase == "ready"
end

---Ends the daemon in good order; whatever it was doing is cancelled.
---@param callback? fun()
function M.stop(callback)
  local daemon = current
  if not daemon then
    failures = 0
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
  leaving = true
  local daemon = current
  if not daemon or not daemon.process then
    return
  end
  if daemon.phase == "ready" then
    require("lofi.tracks").leave()
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
