---The parameters of one track, as the daemon's `generate` takes them: `declared.lua` lists them.

---@class lofi.Parameter
---@field name string as the daemon spells it
---@field key string as `:Lofi generate` spells it
---@field types string[] Lua types that are accepted
---@field choices? string[]
---@field help string

local M = {}

---@type lofi.Parameter[]
M.list = require("lofi.declared")

---@type table<string, lofi.Parameter>
M.by_name = {}
---@type table<string, lofi.Parameter>
M.by_key = {}
for _, parameter in ipairs(M.list) do
  M.by_name[parameter.name] = parameter
  M.by_key[parameter.key] = parameter
end

---@return string[]
function M.keys()
  return vim.tbl_map(function(parameter)
    return parameter.key
  end, M.list)
end

---@param parameter lofi.Parameter
---@return boolean
local function is_seed(parameter)
  return vim.endswith(parameter.name, "seed")
end

---@param parameter lofi.Parameter
---@param text string
---@return number|string|boolean? value nil where the text does not fit the type
function M.parse(parameter, text)
  if is_seed(parameter) then
    return text:match("^%d+$")
  elseif vim.list_contains(parameter.types, "number") then
    local number = tonumber(text)
    -- LuaJIT reads "nan" and "inf" too
    return number and number == number and math.abs(number) ~= math.huge and number or nil
  elseif vim.list_contains(parameter.types, "boolean") then
    return ({ ["true"] = true, ["false"] = false })[text]
  end
  return text
end

---What is wrong with a value that does not fit, and what would.
---@param parameter lofi.Parameter
---@param text string
---@return string
local function misfit(parameter, text)
  local wrong
  if is_seed(parameter) then
    wrong = text:match("^%-%d+$") and "is negative" or "is no whole number"
    return ("%s=%s %s; a seed is one from 0 to 2^64 - 1"):format(parameter.key, text, wrong)
  elseif parameter.choices then
    wrong = "is not one of " .. table.concat(parameter.choices, ", ")
  else
    wrong = "is no number"
  end
  return ("%s=%s %s. %s"):format(parameter.key, text, wrong, parameter.help)
end

---Splits "rainy night duration=60 steps=27" into the prompt and the parameters.
---@param words string[]
---@return lofi.GenerateOptions? options
---@return string? problem
function M.from_words(words)
  local options, prompt = {}, {}
  for _, word in ipairs(words) do
    local key, text = word:match("^([%a_]+)=(.*)$")
    if not key then
      prompt[#prompt + 1] = word
    else
      local parameter = M.by_key[key]
      if not parameter then
        return nil, ("unknown parameter %q; known are %s"):format(key, table.concat(M.keys(), ", "))
      end
      local value = M.parse(parameter, text)
      -- which backends there are only the daemon knows
      local known = parameter.choices and parameter.name ~= "backend" and parameter.choices
      if value == nil or (known and not vim.list_contains(known, text)) then
        return nil, misfit(parameter, text)
      end
      options[parameter.name] = value
    end
  end
  options.prompt = table.concat(prompt, " ")
  return options
end

---@param options table<string, any>
---@return string? problem the first name or type that does not fit
function M.problem(options)
  for name, value in pairs(options) do
    local parameter = M.by_name[name]
    if not parameter then
      local known = vim.tbl_keys(M.by_name)
      table.sort(known)
      return ("unknown parameter %q; known are prompt, play, %s"):format(
        tostring(name),
        table.concat(known, ", ")
      )
    end
    if not vim.list_contains(parameter.types, type(value)) then
      return ("%s must be a %s, not a %s"):format(
        name,
        table.concat(parameter.types, " or a "),
        type(value)
      )
    end
  end
end

return M
