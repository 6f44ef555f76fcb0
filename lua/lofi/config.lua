---The options, each declared and documented once: defaults, validation and the help file's
---section all come from `M.declarations`.

---@class lofi.RadioOptions
---@field preset? string
---@field library? "kept"|"all"
---@field prompts? string[]
---@field order? "cycle"|"shuffle"
---@field ahead? integer
---@field flow? boolean

---@class lofi.PlayerOptions
---@field volume? number
---@field crossfade_sec? number
---@field loop? "off"|"track"|"playlist"
---@field device? string

---@class lofi.ProgressOptions
---@field style? "auto"|"native"|"float"|"notify"|"fidget"|"snacks"|"none"
---@field radio? boolean
---@field linger_ms? integer

---@class lofi.StatusOptions
---@field icons? table<string, string>
---@field prompt_width? integer
---@field refresh_ms? integer

---What `setup()` and `vim.g.lofi` take; everything may be left out.
---@class lofi.Options
---@field cmd? string|string[]
---@field env? table<string, string>
---@field startup_timeout_ms? integer
---@field generate? lofi.GenerateOptions
---@field autoplay? boolean
---@field announce? "commands"|"tracks"|"nothing"
---@field radio? lofi.RadioOptions
---@field player? lofi.PlayerOptions
---@field progress? lofi.ProgressOptions
---@field status? lofi.StatusOptions
---@field picker? "auto"|"snacks"|"telescope"|"fzf_lua"|"select"

---@class lofi.Declaration
---@field name string with dots for nested tables
---@field types string[] Lua types that are accepted
---@field default? any
---@field choices? string[]
---@field range? { [1]: number, [2]: number }
---@field check? fun(value: any): string? a problem, for what types cannot say
---@field help string

local parameters = require("lofi.parameters")

local M = {}

---@type lofi.Options?
local current

---@type lofi.Declaration[]
M.declarations = {
  {
    name = "cmd",
    types = { "string", "table" },
    help = "The daemon's executable, or a list of the command and its arguments. Without it the "
      .. "daemon is looked for, see |lofi-daemon|.",
  },
  {
    name = "env",
    types = { "table" },
    default = {},
    help = "Environment variables for the daemon, for instance LOFI_CACHE_PATH or "
      .. "LOFI_ACE_STEP_MODEL_PATH.",
  },
  {
    name = "startup_timeout_ms",
    types = { "number" },
    default = 20000,
    range = { 100, 600000 },
    help = "How long the daemon may take to answer its first ping. A start through uvx, which may "
      .. "have to install the daemon first, gets ten minutes.",
  },
  {
    name = "generate",
    types = { "table" },
    default = {},
    check = parameters.problem,
    help = "Parameters that every track gets where the request says nothing else, named as in "
      .. '|lofi-parameters|: `{ duration_sec = 120, backend = "ace_step" }`. What is not here is '
      .. "the daemon's choice.",
  },
  {
    name = "autoplay",
    types = { "boolean" },
    default = true,
    help = "Play what `:Lofi {prompt}` and `:Lofi generate` make, as soon as the rest of it can be "
      .. "made while it sounds.",
  },
  {
    name = "announce",
    types = { "string" },
    default = "commands",
    choices = { "commands", "tracks", "nothing" },
    help = "What is said of the music: what a command has done, besides that each track as it begins, "
      .. "or nothing but what is wrong.",
  },
  {
    name = "radio.preset",
    types = { "string" },
    help = "The preset a bare `:Lofi` and `:Lofi radio` start; nil for the daemon's default.",
  },
  {
    name = "radio.prompts",
    types = { "table" },
    help = "Prompts of your own for the radio, instead of a preset.",
  },
  {
    name = "radio.library",
    types = { "string" },
    choices = { "kept", "all" },
    help = "Make nothing and play what there is: the kept tracks, or all.",
  },
  {
    name = "radio.order",
    types = { "string" },
    choices = { "cycle", "shuffle" },
    help = "In which order the radio goes through its prompts.",
  },
  {
    name = "radio.ahead",
    types = { "number" },
    range = { 1, 10 },
    help = "How many tracks the radio keeps ready.",
  },
  {
    name = "radio.flow",
    types = { "boolean" },
    help = "Each track of the radio goes on from the one before it, without a cross-over "
      .. "(|lofi-flow|). Not every model can do that; the answer says which can.",
  },
  {
    name = "player.volume",
    types = { "number" },
    range = { 0, 1 },
    help = "Set when the daemon starts, like the other player options.",
  },
  {
    name = "player.crossfade_sec",
    types = { "number" },
    range = { 0, 12 },
    help = "Seconds over which one track goes over into the next.",
  },
  {
    name = "player.loop",
    types = { "string" },
    choices = { "off", "track", "playlist" },
    help = "What is repeated.",
  },
  {
    name = "player.device",
    types = { "string" },
    help = "The sound device's name; nil for the system's default. `:Lofi device` lists them.",
  },
  {
    name = "progress.style",
    types = { "string" },
    default = "auto",
    choices = { "auto", "native", "float", "notify", "fidget", "snacks", "none" },
    help = "Where progress is shown. `native`: Neovim's own progress messages (0.12). `float`: a "
      .. "small window in the corner. `notify`: |vim.notify()|. `fidget` and `snacks`: those "
      .. "plugins. `auto`: native where it exists, the float elsewhere. A style that is not "
      .. "available falls back to the float.",
  },
  {
    name = "progress.radio",
    types = { "boolean" },
    default = false,
    help = "Show the radio's own tracks even while one plays; otherwise only a wait is shown.",
  },
  {
    name = "progress.linger_ms",
    types = { "number" },
    default = 3000,
    range = { 0, 60000 },
    help = "How long the float still shows what has finished.",
  },
  {
    name = "status.icons",
    types = { "table" },
    default = {
      playing = "▶",
      paused = "⏸",
      generating = "◌",
      downloading = "↓",
      waiting = "…",
    },
    check = function(icons)
      for name, icon in pairs(icons) do
        if
          not vim.list_contains(
            { "playing", "paused", "generating", "downloading", "waiting" },
            name
          )
        then
          return ("unknown icon %q; known are playing, paused, generating, downloading, waiting"):format(
            tostring(name)
          )
        elseif type(icon) ~= "string" then
          return ("icon %s must be a string"):format(name)
        end
      end
    end,
    help = "The statusline's icons; yours may be fewer, the rest stay.",
  },
  {
    name = "status.prompt_width",
    types = { "number" },
    default = 24,
    range = { 0, 200 },
    help = "How many cells the prompt may take in the statusline.",
  },
  {
    name = "status.refresh_ms",
    types = { "number" },
    default = 1000,
    range = { 0, 60000 },
    help = "How often the statusline is drawn anew while something plays or is made, where it uses "
      .. "|lofi-status|; 0 leaves that to your statusline plugin.",
  },
  {
    name = "picker",
    types = { "string" },
    default = "auto",
    choices = { "auto", "snacks", "telescope", "fzf_lua", "select" },
    help = "What `:Lofi tracks` opens. `auto` takes the first installed of snacks.picker, telescope "
      .. "and fzf-lua, and |vim.ui.select()| where there is none.",
  },
}

---@type table<string, lofi.Declaration>
local declared = {}
local groups = {}
for _, declaration in ipairs(M.declarations) do
  declared[declaration.name] = declaration
  local group = declaration.name:match("^(%w+)%.")
  if group then
    groups[group] = true
  end
end

---@param name string
---@return string
local function unknown(name)
  local last = name:match("[^.]+$")
  local closest
  for _, declaration in ipairs(M.declarations) do
    local other = declaration.name:match("[^.]+$")
    if other == last or vim.startswith(other, last) or vim.startswith(last, other) then
      closest = declaration.name
    end
  end
  if closest then
    return ("lofi: unknown option %q; did you mean %q?"):format(name, closest)
  end
  local names = vim.tbl_map(function(declaration)
    return declaration.name
  end, M.declarations)
  return ("lofi: unknown option %q; known are %s"):format(name, table.concat(names, ", "))
end

---@param name string
---@param value any
---@param fits boolean
---@param expected string
local function validate(name, value, fits, expected)
  local function validator()
    return fits
  end
  local valid, problem
  if vim.fn.has("nvim-0.11") == 1 then
    valid, problem = pcall(vim.validate, name, value, validator, expected)
  else
    valid, problem = pcall(vim.validate, { [name] = { value, validator, expected } })
  end
  if not valid then
    error((tostring(problem):gsub("^%S+:%d+: ", "")), 0)
  end
end

---@param declaration lofi.Declaration
---@param name string
---@param value any
local function check_value(declaration, name, value)
  local types, choices, range = declaration.types, declaration.choices, declaration.range
  validate(name, value, vim.list_contains(types, type(value)), table.concat(types, " or "))
  if choices then
    local expected = "one of " .. table.concat(choices, ", ")
    validate(name, value, vim.list_contains(choices, value), expected)
  end
  if range then
    local inside = value >= range[1] and value <= range[2]
    validate(name, value, inside, ("%g to %g"):format(range[1], range[2]))
  end
  local problem = declaration.check and declaration.check(value)
  if problem then
    error(("%s: %s"):format(name, problem), 0)
  end
end

---@param options table
---@param prefix string
local function check(options, prefix)
  for key, value in pairs(options) do
    local name = prefix .. tostring(key)
    if declared[name] then
      check_value(declared[name], "lofi." .. name, value)
    elseif groups[name] then
      validate("lofi." .. name, value, type(value) == "table", "table")
      check(value, name .. ".")
    else
      error(unknown(name), 0)
    end
  end
end

---@return lofi.Options
function M.defaults()
  local options = {}
  for _, declaration in ipairs(M.declarations) do
    local target, path = options, vim.split(declaration.name, ".", { plain = true })
    for index = 1, #path - 1 do
      target[path[index]] = target[path[index]] or {}
      target = target[path[index]]
    end
    target[path[#path]] = vim.deepcopy(declaration.default)
  end
  return options
end

---Checks the options and makes them the session's. Raises an error that names what does not fit.
---@param options? lofi.Options
---@return lofi.Options
function M.setup(options)
  options = options or {}
  validate("lofi.setup(options)", options, type(options) == "table", "table")
  local global = vim.g.lofi or {}
  check(global, "")
  check(options, "")
  local resolved = vim.tbl_deep_extend("force", M.defaults(), global, options)
  current = resolved
  return resolved
end

---@return lofi.Options options of `setup()`, or of `vim.g.lofi` where that was never called
function M.get()
  return current or M.setup()
end

return M
