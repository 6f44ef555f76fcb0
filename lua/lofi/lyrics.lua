---Songs: the words that are sung come from a buffer, what the music is like from the command.

local able = require("lofi.able")
local config = require("lofi.config")
local failure = require("lofi.failure")
local jobs = require("lofi.jobs")
local message = require("lofi.message")
local parameters = require("lofi.parameters")
local tracks = require("lofi.tracks")

local M = {}

---@type lofi.Wish
local SINGING = {
  can = function(backend)
    return vim.iter(backend.options or {}):any(function(option)
      return option.name == "lyrics"
    end)
  end,
  does = "takes lyrics",
  lacks = "takes no lyrics",
}

---@param prompt string what was typed
---@param done fun(prompt: string) not called where there is none
local function with_prompt(prompt, done)
  prompt = prompt ~= "" and prompt or jobs.last_prompt() or ""
  if prompt ~= "" then
    return done(prompt)
  end
  tracks.list({ limit = 1 }, function(problem, newest)
    if problem then
      failure.show(problem)
    elseif newest[1] then
      done(newest[1].prompt)
    else
      message.complain(
        "what should the music be like?",
        "`:%Lofi lyrics slow piano, female voice` says it."
      )
    end
  end)
end

---Makes a song and plays it as the option `autoplay` says.
---@param words string[] what the music should be like, and parameters; without, the last prompt
---@param lines? string[] what is sung; nil for the whole buffer
function M.sing(words, lines)
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem)
  end
  local sung = table.concat(lines or vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n")
  options.lyrics = vim.trim(sung)
  if options.lyrics == "" then
    return message.complain(
      "there is nothing to sing",
      "`:%Lofi lyrics` sings the buffer, `:'<,'>Lofi lyrics` what is selected."
    )
  end
  local names = { named = options.backend, preferred = config.get().generate.backend }
  able.find(SINGING, names, function(failed, backend)
    if failed then
      return failure.show(failed)
    end
    with_prompt(options.prompt, function(prompt)
      options.prompt, options.backend = prompt, backend
      options.play = config.get().autoplay
      jobs.generate(options)
    end)
  end)
end

return M
