local tracks = require("lofi.tracks")

---@type lofi.Picker
return {
  installed = function()
    return (pcall(require, "telescope"))
  end,
  open = function(list)
    local configured = require("telescope.config").values
    local actions = require("telescope.actions")
    local action_state = require("telescope.actions.state")
    require("telescope.pickers")
      .new({}, {
        prompt_title = "lofi tracks",
        finder = require("telescope.finders").new_table({
          results = list,
          entry_maker = function(track)
            return { value = track, display = tracks.label(track), ordinal = track.prompt }
          end,
        }),
        sorter = configured.generic_sorter({}),
        previewer = require("telescope.previewers").new_buffer_previewer({
          title = "track",
          define_preview = function(self, entry)
            vim.api.nvim_buf_set_lines(self.state.bufnr, 0, -1, false, tracks.details(entry.value))
          end,
        }),
        attach_mappings = function(prompt_buffer, map)
          for _, action in ipairs(tracks.actions) do
            local function run()
              local entry = action_state.get_selected_entry()
              actions.close(prompt_buffer)
              if entry then
                action.run(entry.value)
              end
            end
            if action.name == "play" then
              actions.select_default:replace(run)
            else
              map({ "i", "n" }, action.key, run)
            end
          end
          return true
        end,
      })
      :find()
  end,
}
