local track = require("lofi.pickers.track")

---@type lofi.Picker
return {
  installed = function()
    return (pcall(require, "snacks"))
  end,
  open = function(list)
    local keys, actions = {}, {}
    for _, action in ipairs(track.actions) do
      local name = action.name == "play" and "confirm" or "lofi_" .. action.name
      keys[action.key] = { name, mode = { "i", "n" } }
      actions[name] = function(picker, item)
        if not action.stays then
          picker:close()
        end
        if item then
          track.run(action, item.track, list)
        end
        if action.stays then
          picker:find({ refresh = true })
        end
      end
    end
    require("snacks").picker.pick({
      title = "lofi tracks",
      finder = function()
        return vim.tbl_map(function(each)
          return {
            text = track.label(each),
            track = each,
            preview = { text = table.concat(track.details(each), "\n") },
          }
        end, list)
      end,
      format = "text",
      preview = "preview",
      actions = actions,
      win = { input = { keys = keys }, list = { keys = keys } },
    })
  end,
}
