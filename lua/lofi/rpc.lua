---JSON-RPC 2.0, one object a line. Knows nothing of processes: bytes come in through `receive` and
---go out through the function given to `connect`.

local failure = require("lofi.failure")
local log = require("lofi.log")
local text = require("lofi.text")

-- No message of the protocol comes near this; without a limit a program that never ends its line
-- would fill the memory.
local LONGEST_LINE = 8 * 1024 * 1024
-- The daemon reads no longer line than this.
local LONGEST_REQUEST = 1024 * 1024

---@class lofi.Connection
---@field package write fun(line: string)
---@field package on_notification fun(method: string, params: table)
---@field package on_stray fun(line: string)
---@field package partial string[] pieces of the line that has not ended yet
---@field package partial_size integer
---@field package next_id integer
---@field package pending table<integer, fun(failure?: lofi.Failure, result?: any)>
---@field package closed? lofi.Failure
local Connection = {}
Connection.__index = Connection

local M = {}

---@param write fun(line: string)
---@param on_notification fun(method: string, params: table) runs on the main loop
---@param on_stray fun(line: string) gets what is no message of the protocol; runs on the main loop
---@return lofi.Connection
function M.connect(write, on_notification, on_stray)
  return setmetatable({
    write = write,
    on_notification = on_notification,
    on_stray = on_stray,
    partial = {},
    partial_size = 0,
    next_id = 1,
    pending = {},
  }, Connection)
end

---Seeds go up to 2^64 - 1 and a Lua number holds 53 bits of that, so long ones stay strings of
---digits. In valid JSON the characters `seed":` can only end a key: inside a string the quotation
---mark would be escaped.
---@param line string
---@return any
function M.decode(line)
  local protected = line:gsub('(seed":%s*)(%d+)', function(key, digits)
    return #digits > 15 and ('%s"%s"'):format(key, digits) or nil
  end)
  return vim.json.decode(protected, { luanil = { object = true, array = true } })
end

---@param message table
---@return string
function M.encode(message)
  return (vim.json.encode(message):gsub('seed":"(%d+)"', 'seed":%1'))
end

---The line of a request, or why there can be none: what the daemon could not read it would answer
---without saying whose it was.
---@param message table
---@return string? line
---@return lofi.Failure? problem
local function to_line(message)
  local encoded, line = pcall(M.encode, message)
  local problem
  if not encoded then
    problem = "it cannot be written as JSON: " .. tostring(line):gsub("^.-:%d+: ", "")
  elseif not text.is_utf8(line) then
    problem = "it is not UTF-8"
  elseif #line >= LONGEST_REQUEST then
    problem = ("it is %.1f MiB long, and the limit is 1 MiB"):format(#line / 1024 / 1024)
  end
  if problem then
    problem = ("%s was not sent: %s"):format(message.method, problem)
    return nil, failure.new("INVALID_PARAMS", problem, "Shorten or correct the prompt.")
  end
  return line .. "\n"
end

---Takes bytes as they come from the pipe; may be called outside the main loop.
---@param chunk string
function Connection:receive(chunk)
  local first = 1
  while true do
    local newline = chunk:find("\n", first, true)
    local piece = chunk:sub(first, newline and newline - 1)
    self.partial[#self.partial + 1] = piece
    self.partial_size = self.partial_size + #piece
    if not newline and self.partial_size <= LONGEST_LINE then
      return
    end
    local line = table.concat(self.partial)
    self.partial, self.partial_size = {}, 0
    self:take(line)
    if not newline then
      return
    end
    first = newline + 1
  end
end

---@package
---@param line string
function Connection:take(line)
  if line:match("^%s*$") then
    return
  end
  local decoded, message = pcall(M.decode, line)
  if not decoded or type(message) ~= "table" or message.jsonrpc ~= "2.0" then
    vim.schedule(function()
      self.on_stray(line)
    end)
  elseif message.method and message.id == nil then
    vim.schedule(function()
      if not self.closed then
        self.on_notification(message.method, message.params or {})
      end
    end)
  elseif self.pending[message.id] and (message.result ~= nil or message.error) then
    local callback = self.pending[message.id]
    self.pending[message.id] = nil
    vim.schedule(function()
      if message.error then
        callback(failure.from_response(message.error))
      else
        callback(nil, message.result)
      end
    end)
  elseif message.error and message.id == nil then
    -- an answer to a line that the daemon could not read; whose it was it cannot say
    log.add("the daemon could not read a request: " .. line:sub(1, 500))
  else
    vim.schedule(function()
      self.on_stray(line)
    end)
  end
end

---@param method string
---@param params? table
---@param callback fun(failure?: lofi.Failure, result?: any) runs once, on the main loop
function Connection:request(method, params, callback)
  if params == nil or next(params) == nil then
    params = vim.empty_dict()
  end
  local id = self.next_id
  local line, problem = to_line({ jsonrpc = "2.0", id = id, method = method, params = params })
  problem = self.closed or problem
  if problem or not line then
    vim.schedule(function()
      callback(problem)
    end)
    return
  end
  self.next_id = id + 1
  self.pending[id] = callback
  self.write(line)
end

---Ends the conversation: whoever still waits for an answer gets this failure instead.
---@param reason lofi.Failure
function Connection:close(reason)
  self.closed = reason
  local waiting = self.pending
  self.pending = {}
  local ids = vim.tbl_keys(waiting)
  table.sort(ids)
  for _, id in ipairs(ids) do
    waiting[id](reason)
  end
end

return M
