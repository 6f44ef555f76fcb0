---Which model can do what not all of them can.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")

---@class lofi.Wish what is asked of a model
---@field can fun(backend: table): boolean of an entry of `get_backends`
---@field does string such as "takes lyrics"
---@field lacks string the opposite, such as "takes no lyrics"

local M = {}

---@param names string[]
---@return string
local function listed(names)
  if #names < 2 then
    return names[1] or ""
  end
  return table.concat(names, ", ", 1, #names - 1) .. " or " .. names[#names]
end

---@param backends table[]
---@return string[]
local function types(backends)
  return vim.tbl_map(function(backend)
    return backend.type
  end, backends)
end

---@param named string
---@param wish lofi.Wish
---@param able table[]
---@return lofi.Failure
local function unable(named, wish, able)
  local hint = #able > 0 and ("%s does."):format(listed(types(able))) or "No other does."
  return failure.new("INVALID_PARAMS", ("%s %s"):format(named, wish.lacks), hint)
end

---@param wish lofi.Wish
---@param able table[]
---@return lofi.Failure
local function not_ready(wish, able)
  local said = ("no model that is ready %s"):format(wish.does)
  local hint = "Nothing here does."
  for _, backend in ipairs(able) do
    if backend.status == "not_installed" then
      hint = (":Lofi download %s gets one."):format(backend.type)
      break
    end
    hint = ("%s would, and is not ready: :Lofi backends says why."):format(backend.type)
  end
  return failure.new("BACKEND_NOT_INSTALLED", said, hint)
end

---Calls back with the name of the model that is to do it: the one that was named, the preferred one
---where it can, else the first that is ready and can.
---@param wish lofi.Wish
---@param names { named?: string, preferred?: string }
---@param callback fun(problem?: lofi.Failure, backend?: string)
function M.find(wish, names, callback)
  daemon.request("get_backends", nil, function(problem, result)
    if problem then
      return callback(problem)
    end
    local able = vim.tbl_filter(wish.can, result.backends)
    local named = names.named
    if named then
      local known = vim.list_contains(types(result.backends), named)
      if known and not vim.list_contains(types(able), named) then
        return callback(unable(named, wish, able))
      end
      return callback(nil, named) -- whether it is there, and is one at all, the daemon says
    end
    local ready = types(vim.tbl_filter(function(backend)
      return backend.status == "ready" or backend.status == "loading"
    end, able))
    if #ready == 0 then
      return callback(not_ready(wish, able))
    end
    local preferred = names.preferred
    callback(nil, vim.list_contains(ready, preferred) and preferred or ready[1])
  end)
end

return M
