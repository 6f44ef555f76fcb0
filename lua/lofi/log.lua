---What happened, for `:Lofi log` and for bug reports: what was said, what the daemon wrote, what was
---made and played, with times.

local LONGEST = 1000

local M = {}

---@type string[]
local entries = {}

---@param text string may have several lines; each becomes one
function M.add(text)
  local stamp = os.date("%H:%M:%S ")
  for _, line in ipairs(vim.split(text, "\n", { plain = true, trimempty = true })) do
    entries[#entries + 1] = stamp .. require("lofi.text").shown(line)
  end
  while #entries > LONGEST do
    table.remove(entries, 1)
  end
end

---@return string[] lines oldest first
function M.lines()
  return vim.deepcopy(entries)
end

return M
