---The daemon's life: found, started on first use, spoken to, started again after a crash, shut
---down with Neovim.

local config = require("lofi.config")
local events = require("lofi.events")
local failure = require("lofi.failure")
local rpc = require("lofi.rpc")
local session = require("lofi.session")

local PROTOCOL = 1
local LOG_LINES = 500
local UVX_TIMEOUT_MS = 600000
-- A daemon that ran this long before it ended was fine: the next crash counts as the first.
local STABLE_AFTER_MS = 30000
local LONGEST_BACKOFF_MS = 30000
-- A program that writes this many lines that are not the protocol is not the daemon.
local STRAY_LINES = 20

---@class lofi.Daemon one process, from its start to its end
---@field phase "waiting"|"starting"|"ready"|"ended"
---@field command string[]
---@field origin string
---@field process? vim.SystemObj
---@field connection? lofi.Connection
---@field queue { method: string, params?: table, callback: fun(failure?: lofi.Failure, result?: any) }[]
---@field version? string
---@field started_at? number `vim.uv.now()` in milliseconds
---@field strays string[]
---@field stopping boolean it was asked to end
---@field refused? lofi.Failure why it was sent away
---@field on_end fun()[]

local M = {}

---@return string directory the plugin's own checkout
function M.plugin_root()
  return vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(debug.getinfo(1, "S").source:sub(2))))
end

---@param command string|string[]
---@return string[]
local function as_list(command)
  if type(command) == "table" then
    return command
  end
  return vim.fn.executable(command) == 1 and { command } or vim.split(vim.trim(command), "%s+")
end

---Where the daemon is: the option, $LOFI_DAEMON, the virtual environment `make install` made,
---lofi-daemon on PATH, uvx.
---@return string[]? command
---@return string origin where the command comes from, or why there is none
function M.find()
  local configured = config.get().cmd
  if configured then
    return as_list(configured), "the option cmd"
  end
  local environment = vim.env.LOFI_DAEMON
  if environment and environment ~= "" then
    return as_list(environment), "$LOFI_DAEMON"
  end
  local root = M.plugin_root()
  for _, path in ipairs({ ".venv/bin/lofi-daemon", ".venv/Scripts/lofi-daemon.exe" }) do
    local executable = vim.fs.joinpath(root, path)
    if vim.fn.executable(executable) == 1 then
      return { executable }, "the plugin's virtual environment"
    end
  end
  if vim.fn.executable("lofi-daemon") == 1 then
    return { vim.fn.exepath("lofi-daemon") }, "PATH"
  end
  if vim.fn.executable("uvx") == 1 then
    return { vim.fn.exepath("uvx"), "--from", root, "lofi-daemon" }, "uvx"
  end
  return nil,
    "no option cmd, no $LOFI_DAEMON, no .venv in " .. root .. ", no lofi-daemon and no uvx on PATH"
end

---@return integer milliseconds
local function backoff()
  if session.failures < 2 then
    return 0
  end
  return math.min(LONGEST_BACKOFF_MS, 1000 * 2 ^ (session.failures - 2))
end

---@param lines string[]
---@return string
local function tail(lines)
  return table.concat(vim.list_slice(lines, math.max(1, #lines - 4)), "\n")
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
local function kill(daemon)
  if daemon.process and not daemon.process:is_closing() then
    -- the daemon leads a process group of its own, to which its player belongs
    pcall(vim.uv.kill, -daemon.process.pid, "sigkill")
    daemon.process:kill("sigkill")
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
    session.failures = lived > STABLE_AFTER_MS and 1 or session.failures + 1
    local how = signal ~= 0 and ("killed by signal %d"):format(signal)
      or ("exit status %d"):format(code)
    local said = #session.log > 0 and tail(session.log) or tail(daemon.strays)
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

---@param daemon lofi.Daemon
---@param reason lofi.Failure
local function refuse(daemon, reason)
  daemon.refused = reason
  kill(daemon)
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

---@param daemon lofi.Daemon
---@param line string
local function stray(daemon, line)
  daemon.strays[#daemon.strays + 1] = line:sub(1, 200)
  M.record("stdout: " .. line:sub(1, 200))
  if #daemon.strays == 1 and daemon.phase ~= "ended" then
    vim.notify(
      ("lofi: %s wrote what is not its protocol: %s"):format(daemon.command[1], line:sub(1, 200)),
      vim.log.levels.WARN,
      { title = "lofi" }
    )
  elseif #daemon.strays == STRAY_LINES and daemon.phase ~= "ended" then
    refuse(
      daemon,
      failure.new(
        "NOT_A_DAEMON",
        ("%s does not speak the daemon's protocol; it wrote:\n%s"):format(
          table.concat(daemon.command, " "),
          tail(daemon.strays)
        ),
        "Point the option cmd or $LOFI_DAEMON at lofi-daemon."
      )
    )
  end
end

---@param text string one line of the log
function M.record(text)
  session.log[#session.log + 1] = text
  if #session.log > LOG_LINES then
    table.remove(session.log, 1)
  end
end

---@param daemon lofi.Daemon
---@param result table the answer to `ping`
local function greet(daemon, result)
  if result.protocol ~= PROTOCOL then
    return refuse(
      daemon,
      failure.new(
        "PROTOCOL_MISMATCH",
        ("%s (from %s) is version %s and speaks protocol %s; this plugin speaks %d"):format(
          daemon.command[1],
          daemon.origin,
          tostring(result.version),
          tostring(result.protocol),
          PROTOCOL
        ),
        "Update the older of the two (`make install` in the plugin's directory), then :Lofi restart."
      )
    )
  end
  daemon.phase = "ready"
  daemon.version = result.version
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

---@param daemon lofi.Daemon
local function launch(daemon)
  if daemon.phase == "ended" then
    return
  end
  daemon.phase = "starting"
  daemon.started_at = vim.uv.now()
  daemon.connection = rpc.connect(
    function(line)
      -- writing to a process that has just died is no error of its own: its end is reported
      pcall(daemon.process.write, daemon.process, line)
    end,
    notified,
    function(line)
      stray(daemon, line)
    end
  )
  local unfinished = ""
  local started, process = pcall(vim.system, daemon.command, {
    stdin = true,
    env = config.get().env,
    -- a session of its own, so that Ctrl-Z in Neovim's terminal does not stop the music; it ends
    -- with Neovim all the same, because its standard input does
    detach = true,
    stdout = function(_, chunk)
      if chunk then
        daemon.connection:receive(chunk)
      end
    end,
    stderr = function(_, chunk)
      local lines = vim.split(unfinished .. (chunk or "\n"), "\n", { plain = true })
      unfinished = table.remove(lines)
      for _, line in ipairs(lines) do
        if line ~= "" then
          M.record(line)
        end
      end
    end,
  }, function(outcome)
    vim.schedule(function()
      ended(daemon, outcome.code, outcome.signal)
    end)
  end)
  if not started then
    daemon.refused = failure.new(
      "DAEMON_NOT_FOUND",
      ("cannot start %s (from %s): %s"):format(
        daemon.command[1],
        daemon.origin,
        tostring(process):match("E%u+: [%w ]*%w") or tostring(process)
      ),
      "Correct the path, or run `make install` in the plugin's directory; `:checkhealth lofi` has more."
    )
    vim.schedule(function()
      ended(daemon, 0, 0)
      session.failures = 0
    end)
    return
  end
  daemon.process = process
  daemon.connection:request("ping", nil, function(problem, result)
    if problem and daemon.phase == "starting" then
      refuse(daemon, problem)
    elseif result and daemon.phase == "starting" then
      greet(daemon, result)
    end
  end)
  local patience = daemon.origin == "uvx" and UVX_TIMEOUT_MS or config.get().startup_timeout_ms
  vim.defer_fn(function()
    if daemon.phase == "starting" then
      refuse(
        daemon,
        failure.new(
          "DAEMON_SILENT",
          ("%s did not answer within %g s%s"):format(
            table.concat(daemon.command, " "),
            patience / 1000,
            #daemon.strays > 0 and "; it wrote:\n" .. tail(daemon.strays) or ""
          ),
          "Is it lofi-daemon? `:checkhealth lofi` looks closer."
        )
      )
    end
  end, patience)
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
  local command, origin = M.find()
  if not command then
    return nil,
      failure.new(
        "DAEMON_NOT_FOUND",
        "lofi-daemon is not installed: " .. origin,
        "Run `make install` in "
          .. M.plugin_root()
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
    launch(daemon)
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
      launch(daemon)
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
    kill(daemon)
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
      kill(daemon)
    end
  end
end

return M
