---Puts the daemon into the plugin's own folder: a virtual environment, as `make install` makes it, built
---in the background while Neovim goes on.

local child = require("lofi.child")
local discovery = require("lofi.discovery")
local failure = require("lofi.failure")
local log = require("lofi.log")
local message = require("lofi.message")
local progress = require("lofi.progress")

local PYTHONS =
  { "python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python" }
local NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 10))"
-- About as many packages come along; only for how far the bar is.
local PACKAGES = 36
local VENV_MISSING =
  "Install the system's package for it (Debian, Ubuntu: apt install python3-venv), then :Lofi install."

local M = {}

---@type (fun(problem?: lofi.Failure))[]? who waits for the installation that runs
local waiting

---@param said string
---@param percent integer
local function tell(said, percent)
  progress.report("install", { title = "lofi-daemon", message = said, percent = percent })
end

---@param problem? lofi.Failure
local function finish(problem)
  local callbacks = waiting or {}
  waiting = nil
  progress.report("install", {
    title = "lofi-daemon",
    message = problem and "not installed" or "installed",
    percent = problem and 0 or 100,
    status = problem and "failed" or "success",
  })
  for _, callback in ipairs(callbacks) do
    callback(problem)
  end
end

---Runs one program; whatever it says goes into the log.
---@param command string[]
---@param on_line fun(line: string)
---@param callback fun(fine: boolean, said: string)
local function run(command, on_line, callback)
  log.add("runs " .. table.concat(command, " "))
  local said, unfinished = {}, ""
  local function take(_, chunk)
    local lines = vim.split(unfinished .. (chunk or "\n"), "\n", { plain = true })
    unfinished = table.remove(lines)
    for _, line in ipairs(lines) do
      if line ~= "" then
        said[#said + 1] = line
        vim.schedule(function()
          log.add(line)
          on_line(line)
        end)
      end
    end
  end
  local process, problem = child.start(command, { stdout = take, stderr = take }, function(done)
    vim.schedule(function()
      callback(done.code == 0, table.concat(said, "\n"))
    end)
  end)
  if not process then
    callback(false, problem or "it cannot be started")
  end
end

---@param what string
---@param said string what the program wrote
---@param hint? string
local function give_up(what, said, hint)
  local last = said:match("([^\n]+)%s*$") or "it said nothing"
  finish(
    failure.new(
      "INSTALLATION_FAILED",
      ("%s failed: %s"):format(what, last),
      hint or ":Lofi log has all of it."
    )
  )
end

---@param python string of the environment
local function add_packages(python)
  local collected = 0
  local function on_line(line)
    local package = line:match("^Collecting ([%w_.-]+)")
    if package then
      collected = collected + 1
      tell("fetches " .. package, 10 + math.min(70, math.floor(70 * collected / PACKAGES)))
    elseif line:match("^Installing collected packages") then
      tell("puts the packages in place", 85)
    end
  end
  local root = discovery.plugin_root()
  local command = { python, "-m", "pip", "install", "--progress-bar", "off", "--no-input" }
  vim.list_extend(command, { "--disable-pip-version-check", "--upgrade", "--editable", root })
  run(command, on_line, function(fine, said)
    if not fine then
      return give_up(
        "pip",
        said,
        "Is there a network? :Lofi log has all of it; :Lofi install tries again."
      )
    end
    pcall(vim.fn.writefile, {}, vim.fs.joinpath(root, ".venv/.installed"))
    -- help is of use from now on, whatever the plugin manager does about it
    pcall(vim.cmd.helptags, vim.fn.fnameescape(vim.fs.joinpath(root, "doc")))
    finish()
  end)
end

---@param python string
local function make_environment(python)
  local root = discovery.plugin_root()
  local inside = vim.fs.joinpath(
    root,
    ".venv",
    vim.fn.has("win32") == 1 and "Scripts/python.exe" or "bin/python"
  )
  tell("makes a virtual environment", 5)
  run({ python, "-m", "venv", vim.fs.joinpath(root, ".venv") }, function() end, function(fine, said)
    if not fine then
      local missing = said:find("ensurepip", 1, true) or said:find("No module named venv", 1, true)
      return give_up("python -m venv", said, missing and VENV_MISSING or nil)
    end
    add_packages(inside)
  end)
end

---@param candidates string[] names of Python that have not been tried
local function find_python(candidates)
  local name = table.remove(candidates, 1)
  if not name then
    return finish(
      failure.new(
        "INSTALLATION_FAILED",
        "there is no Python 3.10 or newer on PATH",
        "Install Python, then :Lofi install."
      )
    )
  elseif vim.fn.executable(name) == 0 then
    return find_python(candidates)
  end
  run({ name, "-c", NEW_ENOUGH }, function() end, function(fine)
    if fine then
      make_environment(name)
    else
      find_python(candidates)
    end
  end)
end

---Installs the daemon, or updates it. Asked again while it runs, waits for the same.
---@param callback? fun(problem?: lofi.Failure) without one the outcome is shown
function M.start(callback)
  callback = callback
    or function(problem)
      if problem then
        return failure.show(problem)
      end
      message.say("lofi-daemon is installed")
      if require("lofi.daemon").current() then
        require("lofi.daemon").restart()
      end
    end
  if waiting then
    waiting[#waiting + 1] = callback
    return
  end
  waiting = { callback }
  tell("looks for Python", 1)
  find_python(vim.deepcopy(PYTHONS))
end

---@return boolean running
function M.running()
  return waiting ~= nil
end

---Offers to install the daemon and does what was asked afterwards.
---@param action fun()
function M.offer(action)
  local function install()
    M.start(function(problem)
      if problem then
        failure.show(problem)
      else
        action()
      end
    end)
  end
  if M.running() then
    message.say("lofi-daemon is being installed; this comes after it")
    return install()
  end
  local place = vim.fn.fnamemodify(vim.fs.joinpath(discovery.plugin_root(), ".venv"), ":~")
  vim.ui.select({ "Install it now", "Not now" }, {
    prompt = ("lofi: install the daemon into %s (about 300 MB)?"):format(place),
    kind = "lofi_install",
  }, function(_, index)
    if index == 1 then
      install()
    else
      message.say("nothing was installed; :Lofi install does it later")
    end
  end)
end

return M
