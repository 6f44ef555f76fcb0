---Tracks that are being made: who asked for them, how far they are, how they end.

local config = require("lofi.config")
local daemon = require("lofi.daemon")
local events = require("lofi.events")
local failure = require("lofi.failure")
local parameters = require("lofi.parameters")

---@class lofi.Job one track that is being made
---@field track_id string
---@field prompt? string
---@field backend? string
---@field seed? integer|string
---@field percent integer
---@field phase? string
---@field eta_sec? number
---@field current_step? integer
---@field total_steps? integer
---@field handles lofi.Handle[] who waits for it

---@class lofi.Track a finished track
---@field track_id string
---@field path string
---@field duration_sec number
---@field sample_rate integer
---@field prompt string
---@field seed integer|string
---@field generation_time_sec number
---@field backend string
---@field model_version string

---@class lofi.Handle one request for a track
---@field track_id? string known as soon as the daemon has accepted the request
---@field done boolean
---@field package cancelled boolean
---@field package callback fun(problem?: lofi.Failure, track?: lofi.Track)
local Handle = {}
Handle.__index = Handle

local M = {}

---@type table<string, lofi.Job> by track id
local jobs = {}
---@type string? what was asked for last, here
local last_prompt

---@package
---@param problem? lofi.Failure
---@param track? lofi.Track
function Handle:finish(problem, track)
  if not self.done then
    self.done = true
    self.callback(problem, track)
  end
end

---@package
---@return lofi.Failure
function Handle:cancelled_failure()
  return failure.new("CANCELLED", ("track %s was cancelled"):format(self.track_id or "not started"))
end

---Stops the track, unless another request waits for the same one. The callback hears "CANCELLED",
---or success where the track was finished before.
---@return boolean cancelling false where the request was over already
function Handle:cancel()
  if self.done or self.cancelled then
    return false
  end
  self.cancelled = true
  local job = self.track_id and jobs[self.track_id]
  if not job then
    return true -- the daemon has not answered yet: `accepted` goes on from here
  end
  local others = vim.tbl_filter(function(handle)
    return not handle.cancelled
  end, job.handles)
  if #others > 0 then
    vim.schedule(function()
      self:finish(self:cancelled_failure())
    end)
  else
    M.cancel(self.track_id, function() end)
  end
  return true
end

---@param track_id string
---@param facts table
---@param requested boolean it was asked for here, and not begun by the radio
---@return lofi.Job
local function job_of(track_id, facts, requested)
  local job = jobs[track_id]
  if not job then
    job = { track_id = track_id, percent = 0, handles = {} }
    for _, name in ipairs({ "prompt", "seed", "backend" }) do
      job[name] = facts[name]
    end
    jobs[track_id] = job
    events.emit("generation_start", vim.tbl_extend("force", facts, { requested = requested }))
  end
  return job
end

---@param options lofi.GenerateOptions|string
---@return table? params
---@return lofi.Failure? problem
local function to_params(options)
  if type(options) == "string" then
    options = { prompt = options }
  end
  local asked = vim.tbl_extend("force", config.get().generate, options)
  local prompt = asked.prompt
  asked.prompt, asked.play = nil, nil
  local play = options.play and "early" or nil
  local problem = type(prompt) ~= "string" and "prompt must be a string"
    or parameters.problem(asked)
  if problem then
    return nil, failure.new("INVALID_PARAMS", problem, "See :help lofi-parameters.")
  end
  asked.prompt, asked.play = prompt, play
  return asked
end

---@param callback? fun(problem?: lofi.Failure, track?: lofi.Track)
---@return lofi.Handle
local function new_handle(callback)
  local handle = setmetatable({ done = false, cancelled = false }, Handle)
  handle.callback = function(problem, track)
    if callback then
      callback(problem, track)
    elseif problem and problem.code ~= "CANCELLED" then
      failure.show(problem)
    end
  end
  return handle
end

---Has the daemon make what these parameters say.
---@param handle lofi.Handle
---@param params table as the daemon takes them
---@param prompt string what the track is called until it is there
local function request(handle, params, prompt)
  last_prompt = prompt
  daemon.request("generate", params, function(refusal, accepted)
    if refusal then
      return handle:finish(refusal)
    end
    handle.track_id = accepted.track_id
    accepted.prompt = prompt
    local job = job_of(accepted.track_id, accepted, true)
    job.handles[#job.handles + 1] = handle
    if handle.cancelled then
      handle.cancelled = false
      handle:cancel()
    end
  end)
end

---@param options lofi.GenerateOptions|string
---@param callback? fun(problem?: lofi.Failure, track?: lofi.Track)
---@return lofi.Handle
function M.generate(options, callback)
  local handle = new_handle(callback)
  local params, problem = to_params(options)
  if params then
    request(handle, params, params.prompt)
  else
    vim.schedule(function()
      handle:finish(problem)
    end)
  end
  return handle
end

---@class lofi.RemakeOptions
---@field task string
---@field span? number[]
---@field duration_sec? number
---@field strength? number
---@field backend? string
---@field prompt? string
---@field play? boolean

---Makes a track from another one. What is left out is that one's.
---@param source lofi.CachedTrack
---@param params lofi.RemakeOptions
---@param callback? fun(problem?: lofi.Failure, track?: lofi.Track)
---@return lofi.Handle
function M.remake(source, params, callback)
  local handle = new_handle(callback)
  local asked = vim.tbl_extend("keep", { source = source.track_id }, params)
  asked.play = params.play and "early" or nil
  request(handle, asked, params.prompt or source.prompt)
  return handle
end

---@return string? prompt of the last track that was asked for here; nil before the first
function M.last_prompt()
  return last_prompt
end

---@param track_id string
---@return lofi.Job?
function M.get(track_id)
  return jobs[track_id]
end

---@return lofi.Job[] jobs furthest first
function M.active()
  local active = vim.tbl_values(jobs)
  table.sort(active, function(one, other)
    if one.percent ~= other.percent then
      return one.percent > other.percent
    end
    return one.track_id < other.track_id
  end)
  return active
end

---@param track_id? string nil for the one that is being made now
---@param callback? fun(problem?: lofi.Failure, result?: { cancelled: boolean, was_generating: boolean })
function M.cancel(track_id, callback)
  track_id = track_id or (M.active()[1] or {}).track_id
  if not track_id then
    local problem = failure.new("TRACK_NOT_FOUND", "nothing is being generated")
    vim.schedule(function()
      failure.deliver(callback, problem)
    end)
    return
  end
  daemon.request("cancel", { track_id = track_id }, callback)
end

---@param event lofi.Event
---@param params table
---@param problem? lofi.Failure
---@param track? lofi.Track
local function finish(event, params, problem, track)
  local job = jobs[params.track_id]
  local handles = job and job.handles or {}
  jobs[params.track_id] = nil
  params.prompt = params.prompt or (job and job.prompt)
  params.requested = #handles > 0
  events.emit(event, params)
  for _, handle in ipairs(handles) do
    handle:finish(problem, track)
  end
  if problem and #handles == 0 and problem.code ~= "CANCELLED" then
    failure.show(problem, vim.log.levels.WARN)
  end
end

---@type table<string, fun(params: table)>
M.notifications = {
  generation_progress = function(params)
    local job = job_of(params.track_id, params, false)
    job.prompt = job.prompt or params.prompt
    for _, name in ipairs({ "percent", "phase", "eta_sec", "current_step", "total_steps" }) do
      job[name] = params[name]
    end
    params.prompt, params.requested = job.prompt, #job.handles > 0
    events.emit("generation_progress", params)
  end,
  generation_complete = function(params)
    finish("generation_complete", params, nil, params)
  end,
  generation_error = function(params)
    finish("generation_error", params, failure.new(params.code, params.message, params.hint))
  end,
  generation_cancelled = function(params)
    local message = ("track %s was cancelled"):format(params.track_id)
    finish("generation_cancelled", params, failure.new("CANCELLED", message))
  end,
}

---@param reason lofi.Failure
function M.daemon_ended(reason)
  for _, job in ipairs(M.active()) do
    -- the reason is shown once, by the daemon's own end
    local handles = job.handles
    jobs[job.track_id] = nil
    events.emit("generation_error", {
      track_id = job.track_id,
      prompt = job.prompt,
      requested = #handles > 0,
      code = reason.code,
      message = reason.message,
    })
    for _, handle in ipairs(handles) do
      handle:finish(reason)
    end
  end
end

return M
