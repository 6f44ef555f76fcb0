---The subcommands of `:Lofi`, declared in one table: how they run, complete and are documented.

local announce = require("lofi.announce")
local complete = require("lofi.complete")
local failure = require("lofi.failure")
local lofi = require("lofi")
local message = require("lofi.message")
local pages = require("lofi.pages")
local parameters = require("lofi.parameters")

---@class lofi.Subcommand
---@field name string
---@field args? string as the help shows them; a subcommand without takes no words
---@field also? string[] words that people try for it
---@field help string
---@field offline? boolean it needs no daemon
---@field run fun(words: string[], text: string)
---@field complete? fun(words: string[], lead: string): string[] words: those before the one at the cursor

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
local function then_say(done)
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
    then_say(function(radio)
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

---@param words string[]
---@param text string
local function radio(words, text)
  if text == "off" then
    return lofi.radio_stop(then_say(function()
      announce.said("the radio makes no more tracks")
    end))
  elseif text == "kept" or text == "all" then
    return start_radio({ library = text })
  elseif text == "?" then
    return pages.choose_preset(function(preset)
      start_radio({ preset = preset.name })
    end)
  end
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem)
  end
  if options.prompt == "" then
    return start_radio(options)
  end
  local presets = require("lofi.presets")
  presets.find(
    options.prompt,
    then_say(function(preset)
      local near = not preset and announce.near(options.prompt, presets.names())
      if near then
        ask_which_radio(options, near)
      else
        start_radio(options)
      end
    end)
  )
end

---@param text string such as "in 25m", "in 1h30m", "in 90s", "in 25", "in off"
local function stop_later(text)
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
    then_say(function()
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
local function seek(text)
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
    then_say(function(state)
      local clock = require("lofi.text").clock
      announce.said(("%s/%s"):format(clock(state.position_sec), clock(state.duration_sec)))
    end)
  )
end

---@param text string
local function volume(text)
  local sign, number = text:match("^([+-]?)(%d+)%%?$")
  if text ~= "" and not (number and tonumber(number) <= 100) then
    return message.complain(("volume is a percentage from 0 to 100, not %q"):format(text))
  end
  local wanted = number and tonumber(number) / 100 or nil
  lofi.volume(
    sign and sign ~= "" and sign .. wanted or wanted,
    then_say(function(level)
      message.say(("volume %d%%"):format(math.floor(level * 100 + 0.5)))
    end)
  )
end

---@type lofi.Subcommand[]
M.list = {
  {
    name = "generate",
    args = "{prompt} [duration=… backend=… steps=… …]",
    also = { "make", "create", "new" },
    help = "Makes a track and plays it (see the option `autoplay`). The parameters may stand "
      .. "anywhere; |lofi-parameters| has them all. Without a prompt asks for it.",
    run = M.generate,
    complete = complete.parameters,
  },
  {
    name = "radio",
    args = "[{preset}|{prompt}|kept|all] [duration=… …]",
    help = "Plays on and on, making the next tracks meanwhile: a preset (|lofi-presets|), a prompt of "
      .. "yours, or the option `radio`. `:Lofi radio kept` makes nothing and plays the kept tracks, "
      .. "`:Lofi radio all` all that there are. `:Lofi radio ?` lets you choose a preset, "
      .. "`:Lofi radio off` makes no more.",
    run = radio,
    complete = function(words, lead)
      return complete.phrases(complete.stations(), words, lead)
    end,
  },
  {
    name = "play",
    args = "[{track}]",
    help = "Plays a track: its id, or words of its prompt. Without either goes on, or plays the "
      .. "newest.",
    run = function(_, text)
      lofi.play(text, then_say(announce.plays))
    end,
    complete = complete.tracks,
  },
  {
    name = "pause",
    help = "Pauses.",
    run = function()
      lofi.pause(then_say(function(state)
        announce.state(state, "paused", "paused")
      end))
    end,
  },
  {
    name = "resume",
    also = { "continue", "unpause" },
    help = "Goes on where it was paused.",
    run = function()
      lofi.resume(then_say(function(state)
        announce.state(state, "playing", "goes on")
      end))
    end,
  },
  {
    name = "toggle",
    help = "As `:Lofi` alone: pauses, goes on, or starts the radio.",
    run = function()
      require("lofi.player").toggle(function(problem, state, done)
        if problem then
          failure.show(problem)
        else
          announce.toggled(done, state)
        end
      end)
    end,
  },
  {
    name = "stop",
    args = "[in {time}]",
    also = { "quit", "exit", "end", "off" },
    help = "Stops playing and the radio. What is being made is finished, and not played. `:Lofi stop in "
      .. "25m` (90s, 1h30m) fades out then; `:Lofi stop in off` takes that back.",
    run = function(_, text)
      if text ~= "" then
        return stop_later(text)
      end
      local before = require("lofi.player").state().state
      lofi.radio_stop(then_say(function()
        lofi.stop_playback(then_say(function()
          announce.said(before == "stopped" and "nothing plays" or "stopped")
        end))
      end))
    end,
    complete = function(words, lead)
      local times = { "in 25m", "in 45m", "in 1h", "in off" }
      return complete.phrases(times, words, lead)
    end,
  },
  {
    name = "skip",
    also = { "next", "forward" },
    help = "Goes over to the next track.",
    run = function()
      local before = vim.deepcopy(require("lofi.player").state())
      lofi.skip(then_say(function(state)
        announce.skipped(before, state)
      end))
    end,
  },
  {
    name = "previous",
    also = { "prev", "back", "last" },
    help = "Goes back to the track before.",
    run = function()
      lofi.previous(then_say(function(state)
        announce.state(state, "playing", "back to " .. announce.title(state.prompt))
      end))
    end,
  },
  {
    name = "seek",
    args = "{m:ss}|{seconds}|+{n}|-{n}",
    also = { "jump", "goto" },
    help = "Goes to a place in the track, or so many seconds on or back.",
    run = function(_, text)
      seek(text)
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "+10", "-10", "0:00" }, lead) or {}
    end,
  },
  {
    name = "mute",
    also = { "unmute", "silence" },
    help = "Silent while it plays on; once more, and it is heard again.",
    run = function()
      local muted = not require("lofi.player").state().muted
      lofi.player_set(
        { muted = muted },
        then_say(function()
          announce.said(muted and "muted; :Lofi mute again" or "heard again")
        end)
      )
    end,
  },
  {
    name = "loop",
    args = "[off|track|playlist]",
    also = { "repeat" },
    help = "Repeats the track, or the playlist; without a word the track, or no longer.",
    run = function(words)
      local loop = words[1] or (require("lofi.player").state().loop == "track" and "off" or "track")
      lofi.player_set(
        { loop = loop },
        then_say(function(state)
          announce.said("loop " .. (state.loop or loop))
        end)
      )
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "off", "track", "playlist" }, lead) or {}
    end,
  },
  {
    name = "player",
    also = { "window", "controls" },
    help = "Opens a small window with what plays and keys for it (|lofi-player|).",
    run = function()
      require("lofi.panel").open()
    end,
  },
  {
    name = "volume",
    args = "[{n}|+{n}|-{n}]",
    also = { "vol", "louder", "softer" },
    help = "Sets the volume in percent, or changes it; without a number says what it is.",
    run = function(_, text)
      volume(text)
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "25", "50", "75", "100", "+5", "-5" }, lead) or {}
    end,
  },
  {
    name = "device",
    args = "[{name}]",
    also = { "devices", "output" },
    help = "Plays on another sound device; without a name asks which. `default` is the system's.",
    run = function(_, text)
      if text == "" then
        return pages.choose_device()
      end
      pages.use_device(text)
    end,
    complete = function(words, lead)
      local names = vim.list_extend({ "default" }, complete.names("devices"))
      return complete.phrases(names, words, lead)
    end,
  },
  {
    name = "keep",
    args = "[{track}]",
    also = { "save", "like", "star" },
    help = "Keeps the track that plays, or the one with this id or these words in its prompt, from ever "
      .. "being evicted.",
    run = function(_, text)
      local playing = require("lofi.player").state().prompt
      local name = text ~= "" and text or playing and require("lofi.presets").title(playing) or ""
      lofi.keep(
        text ~= "" and text or nil,
        true,
        then_say(function()
          message.say("kept " .. name)
        end)
      )
    end,
    complete = complete.tracks_and_ids,
  },
  {
    name = "tracks",
    args = "[{query}]",
    also = { "list", "ls", "library" },
    help = "Opens the picker over the tracks there are (|lofi-picker|).",
    run = function(_, text)
      lofi.pick(text)
    end,
  },
  {
    name = "undo",
    help = "Brings back the track that was deleted in the picker a moment ago.",
    run = function()
      require("lofi.tracks").undo()
    end,
  },
  {
    name = "prompt",
    args = "[duration=… …]",
    help = "Asks for a prompt and makes the track.",
    run = M.ask_for_prompt,
    complete = complete.parameters,
  },
  {
    name = "cancel",
    args = "[{track}|{backend}]",
    also = { "abort" },
    help = "Cancels the track that is being made, the one with this id, or the download of a "
      .. "backend.",
    run = function(words)
      if words[1] and require("lofi.downloads").active()[words[1]] then
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
        return require("lofi.daemon").request(
          "queue_clear",
          nil,
          then_say(function(result)
            message.say(("%d cancelled"):format(#result.cancelled))
          end)
        )
      end
      pages.queue()
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching({ "clear" }, lead) or {}
    end,
  },
  {
    name = "status",
    also = { "info" },
    help = "Shows player, radio, queue and cache.",
    run = function()
      pages.status()
    end,
  },
  {
    name = "backends",
    also = { "models" },
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
        return message.complain("download which backend?", "`:Lofi backends` lists them.")
      end
      lofi.download_backend(
        words[1],
        then_say(function(result)
          if result.already_installed then
            message.say(words[1] .. " is installed already")
          end
        end)
      )
    end,
    complete = function(words, lead)
      return #words == 0 and complete.matching(complete.backends(), lead) or {}
    end,
  },
  {
    name = "install",
    also = { "update" },
    offline = true,
    help = "Installs the daemon into the plugin's own folder, or updates it there "
      .. "(|lofi-install|). `:Lofi` offers that by itself where there is none.",
    run = function()
      require("lofi.install").start()
    end,
  },
  {
    name = "log",
    offline = true,
    help = "Shows what happened: messages whole, what the daemon wrote, tracks and times.",
    run = function()
      pages.log()
    end,
  },
  {
    name = "restart",
    help = "Ends the daemon and starts it again.",
    run = function()
      require("lofi.daemon").restart(then_say(function(result)
        message.say("daemon " .. result.version .. " runs")
      end))
    end,
  },
  {
    name = "help",
    offline = true,
    help = "Opens this help.",
    run = function()
      if not pcall(vim.cmd.help, "lofi") then
        -- nobody has made the tags: the file itself is as good
        vim.cmd.help()
        vim.cmd.edit(vim.fs.joinpath(require("lofi.discovery").plugin_root(), "doc/lofi.txt"))
      end
    end,
  },
}

---@type table<string, lofi.Subcommand>
M.by_name = {}
for _, subcommand in ipairs(M.list) do
  M.by_name[subcommand.name] = subcommand
end

return M
