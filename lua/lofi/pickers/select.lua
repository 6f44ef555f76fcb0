---`vim.ui.select`: first the track, then what to do with it.

local tracks = require("lofi.tracks")

---@type lofi.Picker
return {
  installed = function()
    return true
  end,
  open = function(list)
    vim.ui.select(list, {
      prompt = "lofi tracks",
      kind = "lofi_track",
      format_item = tracks.label,
    }, function(track)
      if not track then
        return
      end
      vim.ui.select(tracks.actions, {
        prompt = track.prompt,
        kind = "lofi_track_action",
        format_item = function(action)
          return action.label
        end,
      }, function(action)
        if action then
          action.run(track)
        end
      end)
    end)
  end,
}
