-- Writes doc/lofi.txt: the prose of lofi.txt beside this script, with commands, parameters, options,
-- functions and events put in from the tables and annotations that declare them.
--
--   nvim --clean -l scripts/help/generate.lua [FILE]

local here = vim.fs.dirname(vim.fs.normalize(vim.uv.fs_realpath(arg[0])))
local root = vim.fs.dirname(vim.fs.dirname(here))
vim.opt.rtp:prepend(root)

local WIDTH = 78

---@param path string
---@return string
local function read(path)
  return table.concat(vim.fn.readfile(path), "\n")
end

---Breaks text at blanks into lines that begin with the indent.
---@param text string
---@param indent integer
---@return string
local function wrap(text, indent)
  local margin = (" "):rep(indent)
  local lines, line = {}, margin
  -- what stands in backticks or bars is one word
  local words = {}
  for word in text:gmatch("%S+") do
    local last = words[#words]
    local _, ticks = (last or ""):gsub("`", "")
    if last and ticks % 2 == 1 then
      words[#words] = last .. " " .. word
    else
      words[#words + 1] = word
    end
  end
  for _, word in ipairs(words) do
    local separator = line == margin and "" or " "
    if vim.api.nvim_strwidth(line .. separator .. word) > WIDTH and line ~= margin then
      lines[#lines + 1] = line
      line, separator = margin, ""
    end
    line = line .. separator .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

---@param left string
---@param tag string
---@return string
local function heading(left, tag)
  local right = "*" .. tag .. "*"
  local room = WIDTH - vim.api.nvim_strwidth(left) - #right
  if room < 1 then
    return (" "):rep(WIDTH - #right) .. right .. "\n" .. left
  end
  return left .. (" "):rep(room) .. right
end

local function commands()
  local parts = {}
  for _, command in ipairs(require("lofi.subcommands").list) do
    local usage = ":Lofi " .. command.name .. (command.args and " " .. command.args or "")
    parts[#parts + 1] = heading(usage, ":Lofi-" .. command.name) .. "\n" .. wrap(command.help, 24)
  end
  return table.concat(parts, "\n\n") .. "\n"
end

local function keys()
  local lines = {}
  for _, key in ipairs(require("lofi.panel").keys) do
    lines[#lines + 1] = ("    %-18s %s"):format(table.concat(key.keys, " or "), key.does)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function presets()
  local parts = {}
  for _, preset in ipairs(require("lofi.presets").known()) do
    parts[#parts + 1] = "    " .. preset.name .. "\n" .. wrap(preset.description, 24)
  end
  return table.concat(parts, "\n") .. "\n"
end

local function parameters()
  local lines = {}
  for _, parameter in ipairs(require("lofi.parameters").list) do
    local names = ("%-11s %-15s "):format(parameter.key, parameter.name)
    local text = wrap(parameter.help, 28)
    lines[#lines + 1] = #names > 28 and names:gsub("%s+$", "") .. "\n" .. text
      or names .. text:gsub("^%s+", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function options()
  local parts = {}
  for _, option in ipairs(require("lofi.config").declarations) do
    local kind = option.choices and '"' .. table.concat(option.choices, '", "') .. '"'
      or table.concat(option.types, " or ")
    if option.range then
      kind = ("%s, %g to %g"):format(kind, option.range[1], option.range[2])
    end
    local default = option.default == nil and "none"
      or vim.inspect(option.default, { newline = "", indent = "" })
    parts[#parts + 1] = heading(option.name, "lofi-option-" .. option.name)
      .. "\n"
      .. wrap(kind .. "; default " .. default .. ".", 4)
      .. "\n"
      .. wrap(option.help, 4)
  end
  return table.concat(parts, "\n\n") .. "\n"
end

local function defaults()
  local source = 'require("lofi").setup(' .. vim.inspect(require("lofi.config").defaults()) .. ")"
  return (source:gsub("[^\n]+", "    %0"))
end

local function actions()
  local lines = {}
  for _, action in ipairs(require("lofi.pickers.track").actions) do
    lines[#lines + 1] = ("    %-8s %s"):format(action.key, action.label)
  end
  return table.concat(lines, "\n") .. "\n"
end

---"string|nil what it is" becomes "(string|nil) what it is".
---@param annotation string
---@return string type
---@return string text
local function split_type(annotation)
  local depth, type_end = 0, #annotation
  for index = 1, #annotation do
    local character = annotation:sub(index, index)
    if character:match("[({]") then
      depth = depth + 1
    elseif character:match("[)}]") then
      depth = depth - 1
    elseif character == " " and depth == 0 and annotation:sub(index - 1, index - 1) ~= ":" then
      type_end = index - 1
      break
    end
  end
  return annotation:sub(1, type_end), vim.trim(annotation:sub(type_end + 1))
end

---@return { name: string, description: string, params: string[][], returns: string? }[]
local function documented_functions()
  local found, description, params, returns = {}, {}, {}, nil
  local last
  for _, line in ipairs(vim.fn.readfile(vim.fs.joinpath(root, "lua/lofi/init.lua"))) do
    local name, optional, rest = line:match("^%-%-%-@param ([%w_]+)(%??) (.+)$")
    local signature, arguments = line:match("^function M%.([%w_]+)%((.-)%)")
    if name then
      params[#params + 1] = { name, optional, rest }
      last = "param"
    elseif line:match("^%-%-%-@return") then
      returns = line:match("^%-%-%-@return (.+)$")
      last = "return"
    elseif line:match("^%-%-%-@") then
      last = nil
    elseif line:match("^%-%-%-") then
      local text = line:sub(4)
      if last == "param" then
        params[#params][3] = params[#params][3] .. " " .. text
      elseif last == "return" then
        returns = returns .. " " .. text
      else
        description[#description + 1] = text
      end
    elseif signature then
      found[#found + 1] = {
        name = signature,
        arguments = arguments,
        description = table.concat(description, " "),
        params = params,
        returns = returns,
      }
    end
    if not line:match("^%-%-%-") then
      description, params, returns, last = {}, {}, nil, nil
    end
  end
  return found
end

local function functions()
  local parts = {}
  for _, each in ipairs(documented_functions()) do
    local arguments = vim.tbl_map(function(param)
      return param[2] == "?" and "[{" .. param[1] .. "}]" or "{" .. param[1] .. "}"
    end, each.params)
    local usage = ("lofi.%s(%s)"):format(each.name, table.concat(arguments, ", "))
    -- setup() has its place among the options
    local block = { each.name == "setup" and usage or heading(usage, "lofi." .. each.name .. "()") }
    if each.description ~= "" then
      block[#block + 1] = wrap(each.description, 4)
    end
    for _, param in ipairs(each.params) do
      local kind, text = split_type(param[3])
      block[#block + 1] = wrap(("{%s} (%s) %s"):format(param[1], kind, text), 6)
    end
    if each.returns then
      -- the first word of the text is the value's name
      local kind, text = split_type(each.returns)
      block[#block + 1] = wrap(("Returns (%s) %s"):format(kind, (text:gsub("^%S+%s*", ""))), 4)
    end
    parts[#parts + 1] = table.concat(block, "\n")
  end
  return table.concat(parts, "\n\n") .. "\n"
end

-- What the tables carry. The daemon's notifications have more; these are the ones to build on.
local CARRIES = {
  generation_start = "track_id, requested (not by the radio), and for a request from here prompt, status, "
    .. "position, seed, backend",
  generation_progress = "track_id, prompt, requested, percent, phase, current_step, total_steps, eta_sec",
  generation_complete = "track_id, path, prompt, seed, duration_sec, sample_rate, generation_time_sec, backend, "
    .. "model_version",
  generation_error = "track_id, prompt, code, message",
  generation_cancelled = "track_id, prompt, at_step, total_steps",
  download_progress = "backend, component, file_name, overall_percent, bytes_downloaded, bytes_total",
  download_complete = "backend",
  download_error = "backend, code, message",
  playback_start = "track_id, prompt, position_sec, duration_sec",
  playback_pause = "the same",
  playback_resume = "the same",
  playback_end = 'track_id, reason: "finished", "skipped", "stopped" or "error"',
  radio_waiting = "ready, eta_sec, replaying: the next new track is late, and an older one (or nil) plays",
  daemon_exit = "code, signal, expected, message",
}

local function events()
  local parts = {}
  for _, event in ipairs(require("lofi.events").names) do
    local pattern = require("lofi.events").pattern(event)
    parts[#parts + 1] = heading(event, pattern) .. "\n" .. wrap(CARRIES[event], 24)
  end
  return table.concat(parts, "\n") .. "\n"
end

local sections = {
  commands = commands,
  presets = presets,
  keys = keys,
  parameters = parameters,
  options = options,
  defaults = defaults,
  actions = actions,
  functions = functions,
  events = events,
}
local text = ("\n" .. read(vim.fs.joinpath(here, "lofi.txt"))):gsub("\n{(%l+)}", function(name)
  return "\n" .. sections[name]()
end)
local target = arg[1] or vim.fs.joinpath(root, "doc/lofi.txt")
vim.fn.writefile(vim.split(text:sub(2), "\n"), target)
