---Pages of text in a window: status, queue, backends, log.

local daemon = require("lofi.daemon")
local failure = require("lofi.failure")
local progress = require("lofi.progress")
local session = require("lofi.session")
local window = require("lofi.window")

local M = {}

---@param method string
---@param show fun(result: table)
local function ask(method, show)
  daemon.request(method, nil, function(problem, result)
    if problem then
      failure.show(problem)
    else
      show(result)
    end
  end)
end

---@param lines string[]
---@param queue table
local function add_queue(lines, queue)
  local current = queue.current
  if current then
    local job = session.jobs[current.track_id] or {}
    lines[#lines + 1] = ("Making   %s  %d%% %s%s"):format(
      job.prompt or current.track_id,
      current.percent,
      (current.phase or ""):gsub("_", " "),
      current.eta_sec and (", %s left"):format(progress.clock(current.eta_sec)) or ""
    )
  else
    lines[#lines + 1] = "Making   nothing"
  end
  for _, waiting in ipairs(queue.waiting) do
    lines[#lines + 1] = ("Waiting  %d. %s  %s"):format(
      waiting.position,
      waiting.prompt,
      waiting.track_id
    )
  end
end

---@param lines string[]
---@param status table
local function add_playlist(lines, status)
  for index, track_id in ipairs(status.playlist) do
    lines[#lines + 1] = ("Next     %d. %s"):format(index, track_id)
  end
end

---@param status table
---@return string[]
local function status_lines(status)
  local player, lines = status.player, {}
  if player.state == "stopped" then
    lines[1] = "Player   stopped"
  else
    lines[1] = ("Player   %s  %s/%s  %s"):format(
      player.state,
      progress.clock(player.position_sec),
      progress.clock(player.duration_sec),
      player.prompt or player.track_id
    )
  end
  lines[#lines + 1] = ("Sound    volume %d%%, crossfade %g s, loop %s, device %s"):format(
    math.floor((player.volume or 0) * 100 + 0.5),
    player.crossfade_sec or 0,
    player.loop or "off",
    player.device or "default"
  )
  local radio = status.radio
  if radio then
    lines[#lines + 1] = ("Radio    %s, %d ready"):format(
      radio.preset or table.concat(radio.prompts or {}, ", "),
      type(radio.ready) == "number" and radio.ready or 0
    )
  else
    lines[#lines + 1] = "Radio    off"
  end
  add_queue(lines, status.queue)
  add_playlist(lines, status)
  lines[#lines + 1] = ("Cache    %d tracks, %.0f of %.0f MB"):format(
    status.cache.tracks,
    status.cache.bytes / 1e6,
    status.cache.max_bytes / 1e6
  )
  return lines
end

function M.status()
  ask("status", function(status)
    window.open("lofi", status_lines(status))
  end)
end

function M.queue()
  ask("status", function(status)
    local lines = {}
    add_queue(lines, status.queue)
    add_playlist(lines, status)
    window.open("lofi queue", lines)
  end)
end

function M.backends()
  ask("get_backends", function(result)
    local lines = {}
    for _, backend in ipairs(result.backends) do
      lines[#lines + 1] = ("%s %-10s %-14s %d to %d s, %.1f kHz%s"):format(
        backend.type == result.default_backend and "*" or " ",
        backend.type,
        backend.status:gsub("_", " "),
        backend.min_duration_sec,
        backend.max_duration_sec,
        backend.sample_rate / 1000,
        backend.model_version and ", " .. backend.model_version or ""
      )
      if backend.error then
        lines[#lines + 1] = "    " .. tostring(backend.error):gsub("\n", " ")
      end
    end
    window.open("lofi backends", lines)
  end)
end

function M.log()
  window.open("lofi log", vim.deepcopy(session.log), { follow = true })
end

function M.choose_device()
  ask("audio_devices", function(result)
    local names = { "default" }
    for _, device in ipairs(result.devices) do
      names[#names + 1] = device.name
    end
    vim.ui.select(names, {
      prompt = "lofi device",
      kind = "lofi_device",
      format_item = function(name)
        return name == (result.current or "default") and name .. " (now)" or name
      end,
    }, function(name)
      if name then
        require("lofi.player").device(name)
      end
    end)
  end)
end

return M
