local track = require("lofi.pickers.track")

---@type lofi.Picker
return {
  installed = function()
    return (pcall(require, "telescope"))
  end,
  open = function(list)
    local configured = require("telescope.config").values
    local actions = require("telescope.actions")
    local action_state = require("telescope.actions.state")
    local function finder()
      return require("telescope.finders").new_table({
        results = list,
        entry_maker = function(each)
          return { value = each, display = track.label(each), ordinal = each.prompt }
        end,
      })
    end
    require("telescope.pickers")
      .new({}, {
        prompt_title = "lofi tracks",
        finder = finder(),
        sorter = configured.generic_sorter({}),
        previewer = require("telescope.previewers").new_buffer_previewer({
          title = "track",
          define_preview = function(self, entry)
            vim.api.nvim_buf_set_lines(self.state.bufnr, 0, -1, false, track.details(entry.value))
          end,
        }),
        attach_mappings = function(prompt_buffer, map)
          for _, action in ipairs(track.actions) do
            local function run()
              local entry = action_state.get_selected_entry()
              if not action.stays then
                actions.close(prompt_buffer)
              end
              if entry then
                track.run(action, entry.value, list)
              end
              if action.stays then
                action_state
                  .get_current_picker(prompt_buffer)
                  :refresh(finder(), { reset_prompt = false })
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
