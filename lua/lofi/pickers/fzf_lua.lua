local tracks = require("lofi.tracks")

---@param key string such as "<C-q>"
---@return string name as fzf spells it, such as "ctrl-q"
local function fzf_key(key)
  return key == "<CR>" and "enter" or "ctrl-" .. key:match("<C%-(%w)>")
end

---@type lofi.Picker
return {
  installed = function()
    return vim.fn.executable("fzf") == 1 and (pcall(require, "fzf-lua"))
  end,
  open = function(list)
    -- each line begins with its number, which finds the track again and which fzf does not show
    local lines, actions = {}, {}
    for index, track in ipairs(list) do
      lines[index] = ("%d\t%s"):format(index, tracks.label(track))
    end
    local function track_of(line)
      return line and list[tonumber(line:match("^(%d+)\t"))]
    end
    for _, action in ipairs(tracks.actions) do
      actions[fzf_key(action.key)] = function(selected)
        local track = track_of(selected[1])
        if track then
          action.run(track)
        end
      end
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
      local track = track_of(line)
      if track then
        local buffer = self:get_tmp_buffer()
        vim.api.nvim_buf_set_lines(buffer, 0, -1, false, tracks.details(track))
        self:set_preview_buf(buffer)
      end
    end

    require("fzf-lua").fzf_exec(lines, {
      prompt = "lofi tracks> ",
      previewer = Previewer,
      actions = actions,
      fzf_opts = { ["--delimiter"] = "\t", ["--with-nth"] = "2.." },
    })
  end,
}
