---`:checkhealth lofi`.

local M = {}

local PATIENCE_MS = 30000

---@param bytes number
---@return string
local function gigabytes(bytes)
  return ("%.1f GB"):format(bytes / 1e9)
end

---Asks the daemon and waits for the answer.
---@param method string
---@return any result
---@return lofi.Failure? problem
local function ask(method)
  local answered, problem, result = false, nil, nil
  require("lofi.daemon").request(method, nil, function(...)
    answered, problem, result = true, ...
  end)
  vim.wait(PATIENCE_MS, function()
    return answered
  end, 10)
  return result, problem
end

local function check_neovim()
  vim.health.start("lofi: Neovim")
  local version = tostring(vim.version())
  if vim.fn.has("nvim-0.10") == 1 then
    vim.health.ok("Neovim " .. version)
  else
    vim.health.error("Neovim " .. version .. " is too old", "Install Neovim 0.10 or newer.")
  end
  local configured, problem = pcall(require("lofi.config").get)
  if configured then
    vim.health.ok("the options are valid")
  else
    vim.health.error(tostring(problem), "See :help lofi-options")
  end
  return configured and vim.fn.has("nvim-0.10") == 1
end

---@return string[]? command nil where there is none
local function check_daemon()
  vim.health.start("lofi: daemon")
  local command, origin = require("lofi.discovery").find()
  if not command then
    vim.health.error("lofi-daemon is not installed: " .. origin, {
      ":Lofi install puts it into " .. require("lofi.discovery").plugin_root() .. ".",
      "Or install it elsewhere and set the option `cmd` or $LOFI_DAEMON.",
    })
    return nil
  end
  vim.health.ok(("found through %s: %s"):format(origin, table.concat(command, " ")))
  local pong, problem = ask("ping")
  if pong then
    vim.health.ok(("it runs: version %s, protocol %d"):format(pong.version, pong.protocol))
  elseif problem then
    vim.health.error(problem.message, problem.hint)
  else
    vim.health.error("it does not answer", "`:Lofi log` shows what it wrote.")
  end
  return command
end

---What `lofi-daemon doctor` found; it runs beside the daemon and needs nothing from it.
---@param command string[]
---@return table? diagnosis
local function examine(command)
  local arguments = vim.deepcopy(command)
  if vim.list_contains({ "serve", "--daemon" }, arguments[#arguments]) then
    table.remove(arguments)
  end
  vim.list_extend(arguments, { "doctor", "--json" })
  local process, problem =
    require("lofi.child").start(arguments, { text = true, env = require("lofi.config").get().env })
  local done = process and process:wait(PATIENCE_MS) or nil
  local decoded, diagnosis =
    pcall(vim.json.decode, done and done.stdout or "", { luanil = { object = true, array = true } })
  if decoded and type(diagnosis) == "table" then
    return diagnosis
  end
  local said = done and vim.trim(done.stderr or "") or problem or ""
  vim.health.warn(
    ("`%s` told nothing%s"):format(table.concat(arguments, " "), said ~= "" and ": " .. said or ""),
    "Update the daemon: :Lofi install does it in " .. require("lofi.discovery").plugin_root() .. "."
  )
end

---@param diagnosis table
local function check_python(diagnosis)
  vim.health.ok(("Python %s (%s)"):format(diagnosis.python, diagnosis.executable))
  if diagnosis.problem then
    vim.health.error(diagnosis.problem, ":Lofi install again.")
  else
    vim.health.ok(
      ("onnxruntime %s computes on %s"):format(
        diagnosis.onnxruntime,
        diagnosis.device or table.concat(diagnosis.providers, ", ")
      )
    )
  end
end

---@param backend table one of the diagnosis
---@param memory? number bytes of the machine
local function check_backend(backend, memory)
  if backend.place and backend.place ~= "here" then
    return -- told with its machine
  end
  local licence = backend.licence and ", licence " .. backend.licence or ""
  local line = ("%s (%s)%s"):format(backend.type, backend.name, licence)
  if backend.error then
    vim.health.error(("%s: %s"):format(line, backend.error))
  elseif backend.installed then
    vim.health.ok(("%s: ready, %s of files"):format(line, gigabytes(backend.disk_bytes)))
  else
    vim.health.info(
      ("%s: not installed; `:Lofi download %s` takes about %s"):format(
        line,
        backend.type,
        gigabytes(backend.disk_bytes)
      )
    )
    if backend.free_bytes < backend.disk_bytes then
      vim.health.warn(
        ("%s needs %s of disk and %s has %s free"):format(
          backend.type,
          gigabytes(backend.disk_bytes),
          backend.folder,
          gigabytes(backend.free_bytes)
        ),
        "Free some space, or put its files on another disk and set its LOFI_…_PATH in the option `env`."
      )
    end
  end
  if memory and memory < backend.memory_bytes then
    vim.health.warn(
      ("%s needs about %s of memory and this machine has %s"):format(
        backend.type,
        gigabytes(backend.memory_bytes),
        gigabytes(memory)
      ),
      "Use the demo backend, or a quantised model (`lofi-daemon quantize`)."
    )
  end
end

---@param remote table the machine that computes, as the diagnosis has it
local function check_remote(remote)
  vim.health.start("lofi: " .. remote.name)
  vim.health.info("reached by `" .. remote.command .. "`")
  if remote.problem then
    vim.health.error(remote.problem, ("Try `%s` in a terminal."):format(remote.command))
  end
  if not remote.version then
    return
  end
  vim.health.ok(
    ("lofi-daemon %s, reached in %.1f s, answers in %d ms"):format(
      remote.version,
      remote.greeting_sec,
      math.floor(1000 * remote.latency_sec + 0.5)
    )
  )
  if remote.device then
    vim.health.ok("computes on " .. remote.device)
  end
  for _, model in ipairs(remote.models) do
    local line = ("%s: %s"):format(model.type, (model.status:gsub("_", " ")))
    if model.error then
      vim.health.error(("%s: %s"):format(line, model.error))
    elseif model.model_version then
      vim.health.ok(("%s (%s)"):format(line, model.model_version))
    else
      vim.health.info(line)
    end
  end
end

---@param diagnosis table
local function check_backends(diagnosis)
  vim.health.start("lofi: models")
  local ready = false
  for _, backend in ipairs(diagnosis.backends) do
    check_backend(backend, diagnosis.memory_bytes)
    ready = ready or (backend.installed and not backend.error)
  end
  if not ready then
    vim.health.error("no model is ready", "`:Lofi download {backend}` gets one.")
  end
  local free = ("tracks go to %s, %s free"):format(
    diagnosis.tracks_folder,
    gigabytes(diagnosis.tracks_free_bytes)
  )
  if diagnosis.tracks_free_bytes > 1e9 then
    vim.health.ok(free)
  else
    vim.health.warn(free, "Free some space, or set LOFI_CACHE_PATH in the option `env`.")
  end
end

local function check_sound()
  vim.health.start("lofi: sound")
  local found, problem = ask("audio_devices")
  if not found then
    vim.health.error(problem and problem.message or "no answer", problem and problem.hint)
  elseif #found.devices == 0 and not found.current then
    vim.health.warn("there is no sound device", {
      "Tracks are made all the same; `:Lofi tracks` lists them and each has a file.",
      "Is a sound server (PipeWire, PulseAudio) running for this user?",
    })
  else
    for _, device in ipairs(found.devices) do
      vim.health.ok(device.name .. (device.is_default and " (the default)" or ""))
    end
    if found.current then
      vim.health.info("lofi plays on " .. found.current)
    end
  end
end

function M.check()
  if not check_neovim() then
    return
  end
  local command = check_daemon()
  local diagnosis = command and examine(command)
  if diagnosis then
    check_python(diagnosis)
    check_backends(diagnosis)
    if diagnosis.remote then
      check_remote(diagnosis.remote)
    end
  end
  if require("lofi.daemon").is_ready() then
    check_sound()
  end
end

return M
