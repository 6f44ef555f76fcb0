---One daemon process: started, greeted, listened to, and sent away where it is not what it should be.

local child = require("lofi.child")
local config = require("lofi.config")
local failure = require("lofi.failure")
local rpc = require("lofi.rpc")
local log = require("lofi.log")
local message = require("lofi.message")

local PROTOCOL = 1
-- of what it wrote last, for the message when it ends
local LAST_WORDS = 5
local UVX_TIMEOUT_MS = 600000
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
---@field said string[] its last lines on stderr
---@field stopping boolean it was asked to end
---@field refused? lofi.Failure why it was sent away
---@field on_end fun()[]

---@class lofi.DaemonHandlers
---@field ready fun(daemon: lofi.Daemon) it has answered its ping
---@field notified fun(method: string, params: table)
---@field ended fun(daemon: lofi.Daemon, code: integer, signal: integer)

local M = {}

---@param lines string[]
---@return string
local function tail(lines)
  return table.concat(vim.list_slice(lines, math.max(1, #lines - LAST_WORDS + 1)), "\n")
end

---@param daemon lofi.Daemon
---@param line string of its stderr
local function heard(daemon, line)
  daemon.said[#daemon.said + 1] = line
  if #daemon.said > LAST_WORDS then
    table.remove(daemon.said, 1)
  end
  log.add(line)
end

---@param daemon lofi.Daemon
---@return string words the end of what it wrote
function M.last_words(daemon)
  return tail(#daemon.said > 0 and daemon.said or daemon.strays)
end

---@param daemon lofi.Daemon
function M.kill(daemon)
  if daemon.process and not daemon.process:is_closing() then
    -- the daemon leads a process group of its own, to which its player belongs
    pcall(vim.uv.kill, -daemon.process.pid, "sigkill")
    daemon.process:kill("sigkill")
  end
end

---@param daemon lofi.Daemon
---@param reason lofi.Failure
local function refuse(daemon, reason)
  daemon.refused = reason
  M.kill(daemon)
end

---@param daemon lofi.Daemon
---@param line string
local function stray(daemon, line)
  daemon.strays[#daemon.strays + 1] = line:sub(1, 200)
  log.add("stdout: " .. line:sub(1, 200))
  if #daemon.strays == 1 and daemon.phase ~= "ended" then
    message.say(
      ("%s wrote what is not its protocol: %s"):format(daemon.command[1], line:sub(1, 200)),
      vim.log.levels.WARN
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

---@param daemon lofi.Daemon
---@param pong table the answer to `ping`
---@return boolean understood
local function greet(daemon, pong)
  if pong.protocol ~= PROTOCOL then
    refuse(
      daemon,
      failure.new(
        "PROTOCOL_MISMATCH",
        ("%s (from %s) is version %s and speaks protocol %s; this plugin speaks %d"):format(
          daemon.command[1],
          daemon.origin,
          tostring(pong.version),
          tostring(pong.protocol),
          PROTOCOL
        ),
        "Update the older of the two: :Lofi install updates the daemon."
      )
    )
    return false
  end
  daemon.phase = "ready"
  daemon.version = pong.version
  return true
end

---@param daemon lofi.Daemon
---@param handlers lofi.DaemonHandlers
function M.start(daemon, handlers)
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
    handlers.notified,
    function(line)
      stray(daemon, line)
    end
  )
  local unfinished = ""
  local process, problem = child.start(daemon.command, {
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
          heard(daemon, line)
        end
      end
    end,
  }, function(outcome)
    vim.schedule(function()
      handlers.ended(daemon, outcome.code, outcome.signal)
    end)
  end)
  if not process then
    daemon.refused = failure.new(
      "DAEMON_NOT_FOUND",
      ("cannot start %s (from %s): %s"):format(
        daemon.command[1],
        daemon.origin,
        tostring(problem):match("E%u+: [%w ]*%w") or problem
      ),
      "Correct the path, or leave it out and :Lofi install; `:checkhealth lofi` has more."
    )
    vim.schedule(function()
      handlers.ended(daemon, 0, 0)
    end)
    return
  end
  daemon.process = process
  daemon.connection:request("ping", nil, function(reason, result)
    if reason and daemon.phase == "starting" then
      refuse(daemon, reason)
    elseif result and daemon.phase == "starting" and greet(daemon, result) then
      handlers.ready(daemon)
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

return M
