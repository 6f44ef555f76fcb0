local tracks = require("lofi.tracks")

---@type lofi.Picker
return {
  installed = function()
    return (pcall(require, "snacks"))
  end,
  open = function(list)
    local keys, actions = {}, {}
    for _, action in ipairs(tracks.actions) do
      local name = action.name == "play" and "confirm" or "lofi_" .. action.name
      keys[action.key] = { name, mode = { "i", "n" } }
      actions[name] = function(picker, item)
        picker:close()
        if item then
          action.run(item.track)
        end
      end
    end
    require("snacks").picker.pick({
      title = "lofi tracks",
      items = vim.tbl_map(function(track)
        return {
          text = tracks.label(track),
          track = track,
          preview = { text = table.concat(tracks.details(track), "\n") },
        }
      end, list),
      format = "text",
      preview = "preview",
      actions = actions,
      win = { input = { keys = keys }, list = { keys = keys } },
    })
  end,
}
