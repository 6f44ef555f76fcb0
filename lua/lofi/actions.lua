---What the subcommands of `:Lofi` do where that is more than one call.

local announce = require("lofi.announce")
local failure = require("lofi.failure")
local lofi = require("lofi")
local message = require("lofi.message")
local pages = require("lofi.pages")
local parameters = require("lofi.parameters")

local M = {}

---@param words string[] a prompt and parameters
function M.generate(words)
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem)
  elseif options.prompt == "" then
    return M.ask_for_prompt(words)
  end
  options.play = require("lofi.config").get().autoplay
  lofi.generate(options)
end

---@param words string[] parameters that were given already
function M.ask_for_prompt(words)
  vim.ui.input({ prompt = "lofi prompt: " }, function(text)
    if text and vim.trim(text) ~= "" then
      M.generate(vim.list_extend(vim.deepcopy(words), vim.split(vim.trim(text), "%s+")))
    end
  end)
end

---Shows the problem, or says what was done.
---@param done fun(result: any)
---@return fun(problem?: lofi.Failure, result?: any)
function M.then_say(done)
  return function(problem, result)
    if problem then
      failure.show(problem)
    else
      done(result)
    end
  end
end

---@param options lofi.GenerateOptions|lofi.RadioOptions|nil
local function start_radio(options)
  local before = vim.deepcopy(require("lofi.player").state())
  lofi.radio(
    options,
    M.then_say(function(radio)
      announce.radio(radio, before)
    end)
  )
end

---@param options lofi.GenerateOptions with a prompt that is nearly a preset's name
---@param near string
local function ask_which_radio(options, near)
  announce.ask(("radio: %q?"):format(options.prompt), {
    {
      label = ("the preset %q"):format(near),
      run = function()
        options.prompt = near
        start_radio(options)
      end,
    },
    {
      label = ("a radio of this prompt: %q"):format(options.prompt),
      run = function()
        start_radio(options)
      end,
    },
  })
end

---@param words string[] a preset or a prompt, and parameters
---@param flow? boolean whether each track goes on from the one before; nil: as the options say
local function radio_of(words, flow)
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem)
  end
  options.flow = flow
  if options.prompt == "" then
    return start_radio(options)
  end
  local presets = require("lofi.presets")
  presets.find(
    options.prompt,
    M.then_say(function(preset)
      local near = not preset and announce.near(options.prompt, presets.names())
      if near then
        ask_which_radio(options, near)
      else
        start_radio(options)
      end
    end)
  )
end

---@param words string[]
---@param text string
function M.radio(words, text)
  local flow = words[1] == "flow" or nil
  local rest = vim.list_slice(words, flow and 2 or 1)
  if text == "off" then
    return lofi.radio_stop(M.then_say(function()
      announce.said("the radio makes no more tracks")
    end))
  elseif text == "kept" or text == "all" then
    return start_radio({ library = text })
  elseif #rest == 1 and rest[1] == "?" then
    return pages.choose_preset(function(preset)
      start_radio({ preset = preset.name, flow = flow })
    end)
  end
  radio_of(rest, flow)
end

---@param text string such as "in 25m", "in 1h30m", "in 90s", "in 25", "in off"
function M.stop_later(text)
  local time = text:match("^in%s+(%S+)$") or text
  local fits = time:match("^%d+$") or time:gsub("%d+[hms]", "") == ""
  local parts = {
    h = time:match("(%d+)h"),
    m = time:match("(%d+)m") or time:match("^(%d+)$"),
    s = time:match("(%d+)s"),
  }
  local total = (parts.h or 0) * 3600 + (parts.m or 0) * 60 + (parts.s or 0)
  if time ~= "off" and (total == 0 or not fits or total > 86400) then
    return message.complain(
      ("%q is no time within a day"):format(time),
      "`:Lofi stop in 25m`, `in 90s`, `in 1h30m`, `in off`."
    )
  end
  lofi.player_set(
    { stops_in_sec = time == "off" and vim.NIL or total },
    M.then_say(function()
      announce.said(
        time == "off" and "goes on"
          or ("fades out in %s; :Lofi stop in off takes that back"):format(
            require("lofi.text").clock(total)
          )
      )
    end)
  )
end

---@param text string
function M.seek(text)
  local player = require("lofi.player")
  local sign, number = text:match("^([+-]?)(%d+)s?$")
  local minutes, seconds = text:match("^(%d+):(%d%d)$")
  local position
  if minutes then
    position = minutes * 60 + seconds
  elseif number then
    position = sign == "" and tonumber(number) or player.position() + tonumber(sign .. number)
  else
    return message.complain(
      ("%q is no place in a track"):format(text),
      "`:Lofi seek 1:30`, `:Lofi seek +10`, `:Lofi seek -10`."
    )
  end
  if player.state().state == "stopped" then
    return announce.said("nothing plays")
  end
  lofi.player_set(
    { position_sec = math.max(0, math.min(position, player.state().duration_sec)) },
    M.then_say(function(state)
      local clock = require("lofi.text").clock
      announce.said(("%s/%s"):format(clock(state.position_sec), clock(state.duration_sec)))
    end)
  )
end

---@param text string
function M.volume(text)
  local sign, number = text:match("^([+-]?)(%d+)%%?$")
  if text ~= "" and not (number and tonumber(number) <= 100) then
    return message.complain(("volume is a percentage from 0 to 100, not %q"):format(text))
  end
  local wanted = number and tonumber(number) / 100 or nil
  lofi.volume(
    sign and sign ~= "" and sign .. wanted or wanted,
    M.then_say(function(level)
      message.say(("volume %d%%"):format(math.floor(level * 100 + 0.5)))
    end)
  )
end

return M
