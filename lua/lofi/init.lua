---Music made on your own machine. This module is the whole public interface; what it does is in the
---modules it asks for when a function is called, so that `require("lofi")` costs next to nothing.
---
---Callbacks run on the main loop, exactly once, as `callback(failure, result)`; a failure has
---`code`, `message` and `hint`. Without a callback failures are shown.

local M = {}

---Changes options. Not needed: without it `vim.g.lofi` or the defaults hold.
---@param options? lofi.Options see |lofi-options|
function M.setup(options)
  require("lofi.config").setup(options)
end

---Makes a track.
---@param options lofi.GenerateOptions|string parameters, or just the prompt
---@param callback? fun(failure?: lofi.Failure, track?: lofi.Track)
---@return lofi.Handle handle `handle:cancel()` stops it; `handle.track_id` is known once accepted
function M.generate(options, callback)
  return require("lofi.jobs").generate(options, callback)
end

---Stops a track that is being made or waits.
---@param track_id? string nil for the one that is being made now
---@param callback? fun(failure?: lofi.Failure, result?: { cancelled: boolean, was_generating: boolean })
function M.cancel(track_id, callback)
  require("lofi.jobs").cancel(track_id, callback)
end

---The models and whether they are ready.
---@param callback fun(failure?: lofi.Failure, result?: { backends: table[], default_backend: string })
function M.get_backends(callback)
  require("lofi.daemon").request("get_backends", nil, callback)
end

---Downloads a model; `download_progress` and `download_complete` tell how it goes.
---@param backend string
---@param callback? fun(failure?: lofi.Failure, result?: { started: boolean, already_installed: boolean })
function M.download_backend(backend, callback)
  require("lofi.downloads").start(backend, callback)
end

---Stops a download; what is there already is kept.
---@param backend string
---@param callback? fun(failure?: lofi.Failure, result?: table)
function M.cancel_download(backend, callback)
  require("lofi.downloads").cancel(backend, callback)
end

---@return boolean generating whether a track is being made or waits
function M.is_generating()
  return next(require("lofi.jobs").active()) ~= nil
end

---@return boolean playing whether something plays now
function M.is_playing()
  return require("lofi.player").state().state == "playing"
end

---@return { track_id: string, prompt: string, position_sec: number, duration_sec: number, state: string }? track
---the one that plays or is paused
function M.current_track()
  local player = require("lofi.player").state()
  if player.state == "stopped" then
    return nil
  end
  return {
    track_id = player.track_id,
    prompt = player.prompt,
    position_sec = require("lofi.player").position(),
    duration_sec = player.duration_sec,
    state = player.state,
  }
end

---Plays a track.
---@param track? string track id, or words of a prompt for the newest track that has them; nil
---resumes, or plays the newest track
---@param callback? fun(failure?: lofi.Failure, result?: { track_id: string, position_sec: number })
function M.play(track, callback)
  require("lofi.player").play(track, callback)
end

---Pauses what plays.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.pause(callback)
  require("lofi.player").pause(callback)
end

---Goes on with what is paused.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.resume(callback)
  require("lofi.player").resume(callback)
end

---Playing becomes paused, paused becomes playing, and where nothing plays the radio starts.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.toggle(callback)
  require("lofi.player").toggle(callback)
end

---Silence at once.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.stop_playback(callback)
  require("lofi.player").stop(callback)
end

---Goes over to the next track.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.skip(callback)
  require("lofi.player").skip(callback)
end

---Goes back to the track before.
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.previous(callback)
  require("lofi.player").previous(callback)
end

---Sets the volume.
---@param volume? number|string 0 to 1, or a change such as "+0.05"; nil only asks
---@param callback? fun(failure?: lofi.Failure, volume?: number)
function M.volume(volume, callback)
  require("lofi.player").volume(volume, callback)
end

---Changes volume, crossfade, loop or device, as in |lofi-options| player, or `position_sec`, `muted` and
---`stops_in_sec` (fade out and stop after so many seconds; `vim.NIL` takes that back).
---@param settings table
---@param callback? fun(failure?: lofi.Failure, state?: table)
function M.player_set(settings, callback)
  require("lofi.player").set(settings, callback)
end

---Plays on and on, making the next tracks meanwhile.
---@param options? lofi.GenerateOptions|lofi.RadioOptions|string options, or a preset's name or a
---prompt; nil for the option `radio`
---@param callback? fun(failure?: lofi.Failure, radio?: table)
function M.radio(options, callback)
  require("lofi.radio").start(options, callback)
end

---Makes no more tracks; what is ready is still played.
---@param callback? fun(failure?: lofi.Failure)
function M.radio_stop(callback)
  require("lofi.radio").stop(callback)
end

---Lists the cached tracks, newest first.
---@param options? { query?: string, limit?: integer, offset?: integer }
---@param callback fun(failure?: lofi.Failure, tracks?: lofi.CachedTrack[], total?: integer)
function M.tracks(options, callback)
  require("lofi.tracks").list(options, callback)
end

---Opens the picker over the cached tracks.
---@param query? string only those whose prompt contains this
function M.pick(query)
  require("lofi.tracks").pick(query)
end

---Keeps a track from being evicted.
---@param track? string track id, or words of a prompt for the newest track that has them; nil for the
---one that plays
---@param kept? boolean default true; false lets it go again
---@param callback? fun(failure?: lofi.Failure)
function M.keep(track, kept, callback)
  require("lofi.tracks").keep(track, kept, callback)
end

---Deletes tracks from the cache; the one that plays is refused.
---@param track_ids string|string[]
---@param callback? fun(failure?: lofi.Failure, result?: { deleted: string[], bytes_freed: integer })
function M.delete(track_ids, callback)
  require("lofi.tracks").delete(track_ids, callback)
end

---With track ids: plays them after the current one. Without: what is being made, what waits and
---what is played next.
---@param track_ids? string|string[]
---@param callback? fun(failure?: lofi.Failure, result?: table)
function M.queue(track_ids, callback)
  if track_ids then
    return require("lofi.tracks").queue(track_ids, callback)
  end
  require("lofi.daemon").request("status", nil, function(problem, status)
    local result = status
      and {
        current = status.queue.current,
        waiting = status.queue.waiting,
        playlist = status.playlist,
      }
    require("lofi.failure").deliver(callback, problem, result)
  end)
end

---The statusline's text, such as "▶ 0:42/2:00 rainy night ◌ 45%"; empty when nothing happens. Asks
---the daemon nothing and may be called as often as a statusline likes.
---@param options? { escape?: boolean } escape: percent signs doubled, for statusline plugins that make
---the text a part of 'statusline' itself
---@return string text
function M.status(options)
  local status = package.loaded["lofi.status"]
  if not status then
    return "" -- no daemon has been started yet
  end
  local text = status.text()
  return options and options.escape and (text:gsub("%%", "%%%%")) or text
end

---@class lofi.State
---@field daemon { running: boolean, version?: string }
---@field player lofi.Player
---@field radio? table
---@field jobs lofi.Job[]
---@field downloads table<string, lofi.Download>

---@return lofi.State state a copy of everything that is known here
function M.state()
  local daemon = require("lofi.daemon").current()
  local jobs = {}
  for _, job in ipairs(require("lofi.jobs").active()) do
    local copy = vim.tbl_extend("force", {}, job)
    copy.handles = nil
    jobs[#jobs + 1] = copy
  end
  return {
    daemon = {
      running = daemon ~= nil and daemon.phase == "ready",
      version = daemon and daemon.version,
    },
    player = vim.deepcopy(require("lofi.player").state()),
    radio = vim.deepcopy(require("lofi.radio").settings()),
    jobs = jobs,
    downloads = vim.deepcopy(require("lofi.downloads").active()),
  }
end

---Hears of an event. Every event is a `User` autocommand too, see |lofi-events|.
---@param event lofi.Event
---@param listener fun(data: table)
---@return fun() unsubscribe
function M.on(event, listener)
  return require("lofi.events").on(event, listener)
end

---Ends the daemon; it starts again when it is next needed.
---@param callback? fun()
function M.stop(callback)
  require("lofi.daemon").stop(callback)
end

return M
