local track = require("lofi.pickers.track")

---@param key string such as "<M-q>"
---@return string name as fzf spells it, such as "alt-q"
local function fzf_key(key)
  return key == "<CR>" and "enter" or "alt-" .. key:match("<M%-(%w)>")
end

---@type lofi.Picker
return {
  installed = function()
    return vim.fn.executable("fzf") == 1 and (pcall(require, "fzf-lua"))
  end,
  open = function(list)
    -- each line begins with the track's id, which finds it again and which fzf does not show
    local function contents(add)
      for _, each in ipairs(list) do
        add(each.track_id .. "\t" .. track.label(each))
      end
      add(nil)
    end
    local function track_of(line)
      local track_id = line and line:match("^(%x+)\t")
      for _, each in ipairs(list) do
        if each.track_id == track_id then
          return each
        end
      end
    end
    local actions = {}
    for _, action in ipairs(track.actions) do
      local function run(selected)
        local chosen = track_of(selected[1])
        if chosen then
          track.run(action, chosen, list)
        end
      end
      actions[fzf_key(action.key)] = action.stays and { fn = run, reload = true } or run
    end

    local Previewer = require("fzf-lua.previewer.builtin").base:extend()
    function Previewer:new(options, fzf_options, window)
      Previewer.super.new(self, options, fzf_options, window)
      setmetatable(self, Previewer)
      return self
    end
    function Previewer:gen_winopts()
      return vim.tbl_extend("force", self.winopts, { number = false, wrap = false })
    end
    function Previewer:populate_preview_buf(line)
      local chosen = track_of(line)
      if chosen then
        local buffer = self:get_tmp_buffer()
        vim.api.nvim_buf_set_lines(buffer, 0, -1, false, track.details(chosen))
        self:set_preview_buf(buffer)
      end
    end

    require("fzf-lua").fzf_exec(contents, {
      prompt = "lofi tracks> ",
      previewer = Previewer,
      actions = actions,
      fzf_opts = { ["--delimiter"] = "\t", ["--with-nth"] = "2.." },
    })
  end,
}
