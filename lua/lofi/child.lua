---Programs that the plugin starts, kept apart from where the editor happens to be.
---
---Python takes modules from the folder it works in, and uv its settings; the editor's folder may hold
---anybody's files. So every program works in the plugin's own folder.

local M = {}

---@param command string[] a program given by a relative path is sought from the editor's folder
---@param options vim.SystemOpts
---@param on_exit? fun(done: vim.SystemCompleted)
---@return vim.SystemObj? process
---@return string? problem why it could not be started
function M.start(command, options, on_exit)
  local whole = vim.deepcopy(command)
  if whole[1]:find("[/\\]") then
    whole[1] = vim.fn.fnamemodify(whole[1], ":p")
  end
  options = vim.tbl_extend("error", options, { cwd = require("lofi.discovery").plugin_root() })
  local started, process = pcall(vim.system, whole, options, on_exit)
  if started then
    return process
  end
  return nil, tostring(process)
end

return M
