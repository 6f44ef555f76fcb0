---Where the daemon's program is.

local config = require("lofi.config")

-- whole from the start: the editor's folder changes
local HERE = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p")

local M = {}

---@return string directory the plugin's own checkout
function M.plugin_root()
  return vim.fs.dirname(vim.fs.dirname(vim.fs.dirname(HERE)))
end

---@param command string|string[]
---@return string[]
local function as_list(command)
  if type(command) == "table" then
    return command
  end
  return vim.fn.executable(command) == 1 and { command } or vim.split(vim.trim(command), "%s+")
end

---Where the daemon is: the option, $LOFI_DAEMON, the virtual environment `:Lofi install` made,
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

return M
