---The daemon's words as a user of Neovim would say them. The daemon speaks to every client in the
---protocol's terms; here are the commands and names that mean the same.

local M = {}

---What the daemon says, as plain text, and what is said instead. The tests look for each in its source.
---@type { [1]: string, [2]: string }[]
M.phrases = {
  { "List the tracks to see which there are.", ":Lofi tracks lists them." },
  { "or null for the system's default", "or :Lofi device default" },
  { "choose one of audio_devices", "choose one with :Lofi device" },
  { "or choose another one.", "or choose another with :Lofi device." },
  { "Wait for a track to finish, or clear the queue.", "Wait for one, or :Lofi queue clear." },
  { "Use one of the known backends.", ":Lofi backends lists them." },
  { "delete it if it is not wanted", ":Lofi tracks can delete it" },
  { "Download the backend's model first", ":Lofi download gets it" },
  { "the log on stderr", "the log" },
}

---Names of the protocol's parameters as the commands spell them.
---@return { [1]: string, [2]: string }[]
local function names()
  local pairs = {}
  for _, parameter in ipairs(require("lofi.parameters").list) do
    if parameter.key ~= parameter.name then
      pairs[#pairs + 1] = { parameter.name, parameter.key }
    end
  end
  return pairs
end

---@param text string
---@return string
function M.rephrased(text)
  for _, phrase in ipairs(M.phrases) do
    text = text:gsub(vim.pesc(phrase[1]), (phrase[2]:gsub("%%", "%%%%")))
  end
  text = text:gsub("`lofi%-daemon download ([%w_]+)`", ":Lofi download %1")
  for _, name in ipairs(names()) do
    text = text:gsub("%f[%w_]" .. vim.pesc(name[1]) .. "%f[^%w_]", name[2])
  end
  return text
end

---@param failure lofi.Failure
---@return string said
---@return string? hint
function M.for_neovim(failure)
  return M.rephrased(failure.message), failure.hint and M.rephrased(failure.hint)
end

return M
