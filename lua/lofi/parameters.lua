---The parameters of one track, as the daemon's `generate` takes them. The tests hold this table
---against the daemon's own declaration.

---@class lofi.GenerateOptions
---@field prompt? string what the music should be like, 1 to 512 characters
---@field duration_sec? number length in seconds
---@field backend? string "ace_step", "musicgen" or "demo"
---@field seed? integer|string up to 2^64 - 1; a string of digits keeps all of them
---@field priority? "normal"|"high"
---@field inference_steps? integer
---@field scheduler? "euler"|"heun"|"pingpong"
---@field guidance_scale? number
---@field cfg_type? "apg"|"cfg"|"cfg_star"
---@field erg? boolean
---@field play? boolean play the track when it is ready (default false)

---@class lofi.Parameter
---@field name string as the daemon spells it
---@field key string as `:Lofi generate` spells it
---@field types string[] Lua types that are accepted
---@field choices? string[]
---@field help string

local M = {}

---@type lofi.Parameter[]
M.list = {
  {
    name = "duration_sec",
    key = "duration",
    types = { "number" },
    help = "length in seconds; each backend has its range",
  },
  {
    name = "backend",
    key = "backend",
    types = { "string" },
    choices = { "ace_step", "demo", "musicgen" },
    help = "which model makes the track",
  },
  {
    name = "seed",
    key = "seed",
    types = { "number", "string" },
    help = "the same seed and parameters give the same bytes",
  },
  {
    name = "priority",
    key = "priority",
    types = { "string" },
    choices = { "normal", "high" },
    help = "high goes before everything that waits",
  },
  {
    name = "inference_steps",
    key = "steps",
    types = { "number" },
    help = "1 to 200; more is better and slower",
  },
  {
    name = "scheduler",
    key = "scheduler",
    types = { "string" },
    choices = { "euler", "heun", "pingpong" },
    help = "the solver of the diffusion",
  },
  {
    name = "guidance_scale",
    key = "guidance",
    types = { "number" },
    help = "1.0 to 30.0; how closely the prompt is followed",
  },
  {
    name = "cfg_type",
    key = "cfg",
    types = { "string" },
    choices = { "apg", "cfg", "cfg_star" },
    help = "the kind of guidance",
  },
  {
    name = "erg",
    key = "erg",
    types = { "boolean" },
    choices = { "true", "false" },
    help = "entropy rectified guidance, where the model files can do it",
  },
}

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
---@param text string
---@return number|string|boolean? value nil where the text does not fit the type
function M.parse(parameter, text)
  if parameter.name == "seed" then
    return text:match("^%d+$")
  elseif vim.list_contains(parameter.types, "number") then
    return tonumber(text)
  elseif vim.list_contains(parameter.types, "boolean") then
    return ({ ["true"] = true, ["false"] = false })[text]
  end
  return text
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
      if value == nil then
        return nil, ("%s=%s: %s"):format(key, text, parameter.help)
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
