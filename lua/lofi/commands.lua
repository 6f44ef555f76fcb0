---`:Lofi` and its subcommands, declared in one table that runs them, completes them and documents
---them.

local complete = require("lofi.complete")
local failure = require("lofi.failure")
local lofi = require("lofi")
local pages = require("lofi.pages")
local parameters = require("lofi.parameters")

---@class lofi.Subcommand
---@field name string
---@field args? string as the help shows them
---@field help string
---@field run fun(words: string[], text: string)
---@field complete? fun(words: string[], lead: string): string[] words: those before the one at the cursor

local M = {}

---@param text string
local function say(text)
  vim.notify("lofi: " .. text, vim.log.levels.INFO, { title = "lofi" })
end

---@param problem string
local function complain(problem)
  vim.notify("lofi: " .. problem, vim.log.levels.ERROR, { title = "lofi" })
end

---@param words string[]
local function generate(words)
  local options, problem = parameters.from_words(words)
  if not options then
    return complain(problem)
  elseif options.prompt == "" then
    return M.execute("prompt")
  end
  options.play = require("lofi.config").get().autoplay
  lofi.generate(options)
end

---@type lofi.Subcommand[]
M.subcommands = {
  {
    name = "generate",
    args = "{prompt} [duration=… backend=… steps=… …]",
    help = "Makes a track and plays it (see the option `autoplay`). The parameters may stand "
      .. "anywhere; |lofi-parameters| has them all.",
    run = generate,
    complete = complete.parameters,
  },
  {
    name = "radio",
    args = "[{preset}|{prompt}]",
    help = "Plays on and on, making the next tracks meanwhile: a preset, a prompt of yours, or the "
      .. "option `radio`. `:Lofi radio off` makes no more.",
    run = function(_, text)
      if text == "off" then
        lofi.radio_stop()
      else
        lofi.radio(text)
      end
    end,
    complete = function(words, lead)
      return complete.phrases(complete.names("presets", { "off" }), words, lead)
    end,
  },
  {
    name = "play",
    args = "[{track}]",
    help = "Plays a track: its id, or words of its prompt. Without either goes on, or plays the "
      .. "newest.",
    run = function(_, text)
      lofi.play(text)
    end,
    complete = complete.tracks,
  },
  {
    name = "pause",
    help = "Pauses.",
    run = function()
      lofi.pause()
    end,
  },
  {
    name = "resume",
    help = "Goes on where it was paused.",
    run = function()
      lofi.resume()
    end,
  },
  {
    name = "toggle",
    help = "As `:Lofi` alone: pauses, goes on, or starts the radio.",
    run = function()
      lofi.toggle()
    end,
  },
  {
    name = "stop",
    help = "Stops playing and the radio.",
    run = function()
      lofi.radio_stop(function(problem)
        if problem then
          return failure.show(problem)
        end
        lofi.stop_playback()
      end)
    end,
  },
  {
    name = "skip",
    help = "Goes over to the next track.",
    run = function()
      lofi.skip()
    end,
  },
  {
    name = "volume",
    args = "[{n}|+{n}|-{n}]",
    help = "Sets the volume in percent, or changes it; without a number says what it is.",
    run = function(_, text)
      local sign, number = text:match("^([+-]?)(%d+)%%?$")
      if text ~= "" and not (number and tonumber(number) <= 100) then
        return complain(("volume is a percentage from 0 to 100, not %q"):format(text))
      end
      local wanted = number and tonumber(number) / 100 or nil
      lofi.volume(sign and sign ~= "" and sign .. wanted or wanted, function(problem, volume)
        if problem then
          failure.show(problem)
        else
          say(("volume %d%%"):format(math.floor(volume * 100 + 0.5)))
        end
      end)
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "25", "50", "75", "100", "+5", "-5" }, lead) or {}
    end,
  },
  {
    name = "device",
    args = "[{name}]",
    help = "Plays on another sound device; without a name asks which. `default` is the system's.",
    run = function(_, text)
      if text == "" then
        return pages.choose_device()
      end
      require("lofi.player").device(text)
    end,
    complete = function(words, lead)
      return complete.phrases(complete.names("devices", { "default" }), words, lead)
    end,
  },
  {
    name = "keep",
    args = "[{track}]",
    help = "Keeps the track that plays, or the one with this id, from ever being evicted.",
    run = function(words)
      lofi.keep(words[1], true, function(problem)
        if problem then
          failure.show(problem)
        else
          say("kept")
        end
      end)
    end,
    complete = complete.track_ids,
  },
  {
    name = "tracks",
    args = "[{query}]",
    help = "Opens the picker over the tracks there are (|lofi-picker|).",
    run = function(_, text)
      lofi.pick(text)
    end,
  },
  {
    name = "prompt",
    help = "Asks for a prompt and makes the track.",
    run = function()
      vim.ui.input({ prompt = "lofi prompt: " }, function(text)
        if text and vim.trim(text) ~= "" then
          generate(vim.split(vim.trim(text), "%s+"))
        end
      end)
    end,
  },
  {
    name = "cancel",
    args = "[{track}|{backend}]",
    help = "Cancels the track that is being made, the one with this id, or the download of a "
      .. "backend.",
    run = function(words)
      if words[1] and require("lofi.session").downloads[words[1]] then
        lofi.cancel_download(words[1])
      else
        lofi.cancel(words[1])
      end
    end,
    complete = complete.jobs,
  },
  {
    name = "queue",
    args = "[clear]",
    help = "Shows what is being made, what waits and what is played next; `clear` cancels what "
      .. "waits.",
    run = function(words)
      if words[1] == "clear" then
        return require("lofi.daemon").request("queue_clear", nil, function(problem, result)
          if problem then
            failure.show(problem)
          else
            say(("%d cancelled"):format(#result.cancelled))
          end
        end)
      end
      pages.queue()
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "clear" }, lead) or {}
    end,
  },
  {
    name = "status",
    help = "Shows player, radio, queue and cache.",
    run = function()
      pages.status()
    end,
  },
  {
    name = "backends",
    help = "Shows the models and whether they are ready.",
    run = function()
      pages.backends()
    end,
  },
  {
    name = "download",
    args = "{backend}",
    help = "Downloads a model. `:Lofi cancel {backend}` stops that; what is there already is kept.",
    run = function(words)
      if not words[1] then
        return complain("download which backend? `:Lofi backends` lists them")
      end
      lofi.download_backend(words[1], function(problem, result)
        if problem then
          failure.show(problem)
        elseif result.already_installed then
          say(words[1] .. " is installed already")
        end
      end)
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching(complete.backends(), lead) or {}
    end,
  },
  {
    name = "log",
    help = "Shows the daemon's log.",
    run = function()
      pages.log()
    end,
  },
  {
    name = "restart",
    help = "Ends the daemon and starts it again.",
    run = function()
      require("lofi.daemon").restart(function(problem, result)
        if problem then
          failure.show(problem)
        else
          say("daemon " .. result.version .. " runs")
        end
      end)
    end,
  },
}

---@type table<string, lofi.Subcommand>
local by_name = {}
for _, subcommand in ipairs(M.subcommands) do
  by_name[subcommand.name] = subcommand
end

---@param name string
---@param text? string
function M.execute(name, text)
  text = vim.trim(text or "")
  by_name[name].run(text == "" and {} or vim.split(text, "%s+"), text)
end

---The selected text where the command came from a visual selection, the lines of the range elsewhere.
---@param invocation table
---@return string
local function selection(invocation)
  local from, to = vim.fn.getpos("'<"), vim.fn.getpos("'>")
  local lines
  if from[2] == invocation.line1 and to[2] == invocation.line2 then
    lines = vim.fn.getregion(from, to, { type = vim.fn.visualmode() })
  else
    lines = vim.api.nvim_buf_get_lines(0, invocation.line1 - 1, invocation.line2, false)
  end
  local text = vim.trim((table.concat(lines, " "):gsub("%s+", " ")))
  return vim.fn.strcharpart(text, 0, 512)
end

---@param invocation table what a user command's function gets
function M.run(invocation)
  local text = vim.trim(invocation.args)
  local name, rest = text:match("^(%S+)%s*(.-)$")
  if invocation.range > 0 then
    local options, problem =
      parameters.from_words(vim.split(name == "generate" and rest or text, "%s+"))
    if not options then
      return complain(problem)
    end
    options.prompt = vim.trim(options.prompt .. " " .. selection(invocation))
    options.play = require("lofi.config").get().autoplay
    lofi.generate(options)
  elseif not name then
    lofi.toggle()
  elseif by_name[name] then
    M.execute(name, rest)
  else
    generate(vim.split(text, "%s+"))
  end
end

---@param lead string the word at the cursor
---@param line string
---@param column integer
---@return string[]
function M.complete(lead, line, column)
  local before = line:sub(1, column):gsub("^.-Lofi%s*", "")
  local words = vim.split(before:sub(1, #before - #lead), "%s+", { trimempty = true })
  if #words == 0 then
    local names = vim.tbl_map(function(subcommand)
      return subcommand.name
    end, M.subcommands)
    return complete.matching(names, lead)
  end
  local subcommand = by_name[table.remove(words, 1)]
  if not subcommand then
    return complete.parameters(words, lead)
  end
  return subcommand.complete and subcommand.complete(words, lead) or {}
end

return M
