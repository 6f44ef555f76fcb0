---`vim.ui.select`: first the track, then what to do with it, then the list again where it is not over.

local track = require("lofi.pickers.track")

---@type lofi.Picker
local M = {
  installed = function()
    return true
  end,
}

function M.open(list)
  vim.ui.select(list, {
    prompt = "lofi tracks",
    kind = "lofi_track",
    format_item = track.label,
  }, function(chosen)
    if not chosen then
      return
    end
    vim.ui.select(track.actions, {
      prompt = require("lofi.presets").title(chosen.prompt),
      kind = "lofi_track_action",
      format_item = function(action)
        return action.label
      end,
    }, function(action)
      if action then
        track.run(action, chosen, list)
      end
    end)
  end)
end

return M
