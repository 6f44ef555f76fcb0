---What went wrong, for people and for programs.

---@class lofi.Failure
---@field code string a name such as "QUEUE_FULL" or "DAEMON_NOT_FOUND"
---@field message string what happened
---@field hint? string what to do next
---@field data? table figures the daemon added
local Failure = {}
Failure.__index = Failure

---@return string
function Failure:__tostring()
  return self.hint and self.hint ~= "" and ("%s\n%s"):format(self.message, self.hint)
    or self.message
end

local M = {}

---@param code string
---@param message string
---@param hint? string
---@param data? table
---@return lofi.Failure
function M.new(code, message, hint, data)
  return setmetatable({ code = code, message = message, hint = hint, data = data }, Failure)
end

---@param error table the `error` member of a JSON-RPC response
---@return lofi.Failure
function M.from_response(error)
  local data = type(error.data) == "table" and error.data or {}
  return M.new(data.code or tostring(error.code), tostring(error.message), data.hint, data)
end

---Hands the outcome to whoever waits for it, or shows the failure where nobody does.
---@param callback? fun(failure?: lofi.Failure, result?: any)
---@param failure? lofi.Failure
---@param result? any
function M.deliver(callback, failure, result)
  if callback then
    callback(failure, result)
  elseif failure then
    M.show(failure)
  end
end

---@param failure lofi.Failure
---@param level? integer one of `vim.log.levels`
function M.show(failure, level)
  local said, hint = require("lofi.hints").for_neovim(failure)
  require("lofi.message").say(said, level or vim.log.levels.ERROR, hint)
end

return M
