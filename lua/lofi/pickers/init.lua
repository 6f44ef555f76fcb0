---Which picker `:Lofi tracks` opens. Each picker module has `installed()` and `open(tracks)`.

---@class lofi.Picker
---@field installed fun(): boolean
---@field open fun(tracks: lofi.CachedTrack[])

local M = {}

local PREFERRED = { "snacks", "telescope", "fzf_lua" }

---@return lofi.Picker picker the one the option names where it is installed, else `vim.ui.select`
function M.get()
  local wanted = require("lofi.config").get().picker
  for _, name in ipairs(wanted == "auto" and PREFERRED or { wanted }) do
    local picker = require("lofi.pickers." .. name)
    if picker.installed() then
      return picker
    end
  end
  return require("lofi.pickers.select")
end

return M
