---What is said of the music, where something happened and where a word looks like a slip.

local config = require("lofi.config")
local message = require("lofi.message")
local presets = require("lofi.presets")
local text = require("lofi.text")

local M = {}

---@param said string what a command has done
function M.said(said)
  if config.get().announce ~= "nothing" then
    message.say(said)
  end
end

---@param prompt? string
---@return string
function M.title(prompt)
  return prompt and presets.title(prompt) or "a track"
end

---@param state table the player's
---@param wanted "playing"|"paused"
---@param said string
function M.state(state, wanted, said)
  M.said(state.state == wanted and said or "nothing plays")
end

---@param result { track_id: string, prompt?: string }
function M.plays(result)
  if result.prompt then
    M.said("plays " .. presets.title(result.prompt))
  end
end

---@param radio table its settings
---@return string name of what it plays
function M.station(radio)
  if radio.library then
    return radio.library == "kept" and "kept tracks" or "all tracks"
  elseif radio.preset then
    return radio.preset
  end
  local first = presets.title((radio.prompts or {})[1] or "")
  return #(radio.prompts or {}) > 1 and ("%s and %d more"):format(first, #radio.prompts - 1)
    or first
end

---@param radio table as the daemon answered
---@param before table the player's state when it was asked for
function M.radio(radio, before)
  local name = M.station(radio) .. (radio.flow == true and ", flowing" or "")
  if before.state == "stopped" then
    M.said(("radio: %s"):format(name))
  else
    M.said(("%s after this track, :Lofi skip goes there now"):format(name))
  end
end

---@param done "paused"|"resumed"|"waiting"|"started"
---@param state table
function M.toggled(done, state)
  if done == "paused" or done == "resumed" then
    M.state(
      state,
      done == "paused" and "paused" or "playing",
      done == "paused" and done or "goes on"
    )
  elseif done == "waiting" then
    M.said("the radio is making its next track")
  else
    M.radio(state, { state = "stopped" })
  end
end

---@param before table the player's state
---@param now table
function M.skipped(before, now)
  local radio = require("lofi.radio").settings()
  if before.state == "stopped" and now.state == "stopped" then
    M.said(radio and "the radio is making its next track" or "nothing plays")
  elseif now.state == "stopped" then
    M.said("that was the last one")
  elseif now.track_id == before.track_id then
    local prompt = M.title(now.prompt)
    M.said(("the next track is still being made; %s plays until then"):format(prompt))
  end
end

---@param words string
---@param names string[]
---@return string? near the name that the words were probably meant to be; nil where they are one
function M.near(words, names)
  words = words:lower()
  for _, name in ipairs(names) do
    if name:lower() == words then
      return nil
    end
  end
  for _, name in ipairs(names) do
    if #words >= 3 and vim.startswith(name:lower(), words) then
      return name
    end
  end
  return text.closest(words, names)
end

---@param question string
---@param choices { label: string, run: fun() }[]
function M.ask(question, choices)
  vim.ui.select(choices, {
    prompt = "lofi: " .. text.shown(question),
    kind = "lofi_question",
    format_item = function(choice)
      return text.shown(choice.label)
    end,
  }, function(choice)
    if choice then
      choice.run()
    end
  end)
end

---Says what was read from a prompt, what is wrong with where a track lies, and each track as it
---begins, where the option wants that. Called once.
function M.attach()
  require("lofi.events").on("generation_start", function(data)
    if data.requested and type(data.understood) == "table" then
      M.said(tostring(data.understood.text))
    end
  end)
  require("lofi.events").on("generation_complete", function(data)
    if data.warning then
      message.say(tostring(data.warning), vim.log.levels.WARN)
    end
  end)
  require("lofi.events").on("playback_start", function(data)
    if config.get().announce == "tracks" then
      message.say(("plays %s, %s"):format(M.title(data.prompt), text.clock(data.duration_sec or 0)))
    end
  end)
end

return M
