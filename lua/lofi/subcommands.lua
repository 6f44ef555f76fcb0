---The subcommands of `:Lofi`, declared in one table: how they run, complete and are documented.

local actions = require("lofi.actions")
local announce = require("lofi.announce")
local complete = require("lofi.complete")
local failure = require("lofi.failure")
local lofi = require("lofi")
local message = require("lofi.message")
local pages = require("lofi.pages")

---@class lofi.Subcommand
---@field name string
---@field args? string as the help shows them; a subcommand without takes no words
---@field also? string[] words that people try for it
---@field help string
---@field offline? boolean it needs no daemon
---@field takes_lines? boolean a range is of lines for it, and not the beginning of a prompt
---@field run fun(words: string[], text: string, lines?: string[]) lines: of the range, where one is given
---@field complete? fun(words: string[], lead: string): string[] words: those before the one at the cursor

local M = {}

---@type lofi.Subcommand[]
M.list = {
  {
    name = "generate",
    args = "{prompt} [duration=… backend=… steps=… …]",
    also = { "make", "create", "new" },
    help = "Makes a track and plays it (see the option `autoplay`). The parameters may stand "
      .. "anywhere; |lofi-parameters| has them all. Without a prompt asks for it.",
    run = actions.generate,
    complete = complete.parameters,
  },
  {
    name = "radio",
    args = "[flow] [{preset}|{prompt}|kept|all] [duration=… …]",
    help = "Plays on and on, making the next tracks meanwhile: a preset (|lofi-presets|), a prompt of "
      .. "yours, or the option `radio`. `:Lofi radio kept` makes nothing and plays the kept tracks, "
      .. "`:Lofi radio all` all that there are. With `flow` before the preset or the prompt each track "
      .. "goes on from the one before it (|lofi-flow|). `:Lofi radio ?` lets you choose a preset, "
      .. "`:Lofi radio off` makes no more.",
    run = actions.radio,
    complete = complete.stations,
  },
  {
    name = "play",
    args = "[{track}]",
    help = "Plays a track: its id, or words of its prompt. Without either goes on, or plays the "
      .. "newest.",
    run = function(_, text)
      lofi.play(text, actions.then_say(announce.plays))
    end,
    complete = complete.tracks,
  },
  {
    name = "pause",
    help = "Pauses.",
    run = function()
      lofi.pause(actions.then_say(function(state)
        announce.state(state, "paused", "paused")
      end))
    end,
  },
  {
    name = "resume",
    also = { "continue", "unpause" },
    help = "Goes on where it was paused.",
    run = function()
      lofi.resume(actions.then_say(function(state)
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
        return actions.stop_later(text)
      end
      local before = require("lofi.player").state().state
      lofi.radio_stop(actions.then_say(function()
        lofi.stop_playback(actions.then_say(function()
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
      lofi.skip(actions.then_say(function(state)
        announce.skipped(before, state)
      end))
    end,
  },
  {
    name = "previous",
    also = { "prev", "back", "last" },
    help = "Goes back to the track before.",
    run = function()
      lofi.previous(actions.then_say(function(state)
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
      actions.seek(text)
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
        actions.then_say(function()
          announce.said(muted and "muted; :Lofi mute again" or "heard again")
        end)
      )
    end,
  },
  {
    name = "loop",
    args = "[off|track|playlist]",
    also = { "repeat" },
    help = "Repeats the track, or the playlist; without a word the track, or no longer. A track that was made "
      .. "with `loop=true` leads into itself, without a gap.",
    run = function(words)
      local loop = words[1] or (require("lofi.player").state().loop == "track" and "off" or "track")
      lofi.player_set(
        { loop = loop },
        actions.then_say(function(state)
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
      actions.volume(text)
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
    name = "again",
    args = "[{track}]",
    help = "Makes the track that plays (or the one with this id or these words in its prompt) once "
      .. "more, with another seed.",
    run = function(words)
      require("lofi.editing").again(words)
    end,
    complete = complete.tracks_and_ids,
  },
  {
    name = "vary",
    args = "[{0-1}] [{track}] [steps=… …]",
    also = { "variation", "variant" },
    help = "Makes a track near the one that plays: `:Lofi vary 0.1` is close to it, `:Lofi vary 1` is "
      .. "another one (default 0.3).",
    run = function(words)
      require("lofi.editing").vary(words)
    end,
    complete = complete.tracks_and_ids,
  },
  {
    name = "extend",
    args = "[{seconds}] [{track}] [steps=… …]",
    also = { "longer", "more" },
    help = "Makes the track that plays longer: the same up to where it turns to its end, and then so "
      .. "many seconds more (default 30).",
    run = function(words)
      require("lofi.editing").extend(words)
    end,
    complete = complete.tracks_and_ids,
  },
  {
    name = "redo",
    args = "{m:ss}-{m:ss} [{prompt}] [seed=… …]",
    also = { "repaint" },
    help = "Makes a part of the track that plays anew, with other words where you say some; the rest "
      .. "stays as it is. A track's id may stand before the part.",
    run = function(words)
      require("lofi.editing").redo(words)
    end,
  },
  {
    name = "like",
    args = "[{id}|{file}] [strength={0-1}] [{prompt}] [backend=… …]",
    also = { "cover" },
    help = "Makes new music from the track that plays, from the one with this id or from a sound file, "
      .. "like what the words say: strength=0.3 stays near, 1 goes far. By the first model that is "
      .. "ready and can.",
    run = function(words)
      require("lofi.likeness").make(words)
    end,
    complete = function(words, lead)
      return require("lofi.likeness").complete(words, lead)
    end,
  },
  {
    name = "lyrics",
    args = "[{prompt}] [duration=… …]",
    also = { "sing", "song" },
    takes_lines = true,
    help = "Has a song made of the selection (`:'<,'>Lofi lyrics slow piano`), of a range of lines or of "
      .. "the whole buffer, by the first model that is ready and takes lyrics. Structure tags such as "
      .. "[verse] and [chorus] stand on lines of their own. Without a prompt the last one is taken.",
    run = function(words, _, lines)
      require("lofi.lyrics").sing(words, lines)
    end,
    complete = complete.parameters,
  },
  {
    name = "keep",
    args = "[{track}]",
    also = { "save", "star" },
    help = "Keeps the track that plays, or the one with this id or these words in its prompt, from ever "
      .. "being evicted.",
    run = function(_, text)
      local playing = require("lofi.player").state().prompt
      local name = text ~= "" and text or playing and require("lofi.presets").title(playing) or ""
      lofi.keep(
        text ~= "" and text or nil,
        true,
        actions.then_say(function()
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
    run = actions.ask_for_prompt,
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
          actions.then_say(function(result)
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
        actions.then_say(function(result)
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
      require("lofi.daemon").restart(actions.then_say(function(result)
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
