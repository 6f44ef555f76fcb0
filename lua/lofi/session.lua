---Everything the plugin remembers while Neovim runs: one table, filled from what the daemon says.

---@class lofi.Player
---@field state "playing"|"paused"|"stopped"
---@field track_id? string
---@field prompt? string
---@field position_sec number position at the moment `measured_at`
---@field duration_sec number
---@field measured_at number `vim.uv.hrtime()` in nanoseconds
---@field volume? number 0 to 1
---@field volume_changes integer changes of the volume that the daemon has not answered yet
---@field crossfade_sec? number
---@field loop? "off"|"track"|"playlist"
---@field device? string

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

---@class lofi.Download
---@field backend string
---@field percent number
---@field file_name? string

---@class lofi.Session
---@field options? lofi.Options
---@field daemon? lofi.Daemon
---@field failures integer crashes in a row; decides how long the next start waits
---@field leaving boolean Neovim is about to exit
---@field exit_hook boolean the daemon is shut down on VimLeavePre
---@field feedback boolean progress is being shown
---@field log string[] the daemon's last lines on stderr
---@field listeners table<string, table<integer, fun(data: table)>>
---@field next_listener integer
---@field revision integer counts events, so that a cached statusline knows when it is stale
---@field jobs table<string, lofi.Job>
---@field downloads table<string, lofi.Download>
---@field player lofi.Player
---@field radio? table the radio's settings, as the daemon gave them
---@field radio_waiting? table the last `radio_waiting`, until the next track starts
---@field known table<string, string[]> names for completion, by kind
---@field progress table<string, lofi.ProgressItem> what is shown as under way, by id
---@field corner { items: lofi.ProgressItem[], buffer?: integer, window?: integer, redraw_pending: boolean }
---@field statusline { text: string, revision: integer, second: integer, wanted: boolean, timer?: uv.uv_timer_t }
local session = {
  failures = 0,
  leaving = false,
  exit_hook = false,
  feedback = false,
  log = {},
  listeners = {},
  next_listener = 1,
  revision = 0,
  jobs = {},
  downloads = {},
  player = {
    state = "stopped",
    position_sec = 0,
    duration_sec = 0,
    measured_at = 0,
    volume_changes = 0,
  },
  known = {},
  progress = {},
  corner = { items = {}, redraw_pending = false },
  statusline = { text = "", revision = -1, second = -1, wanted = false },
}

return session
