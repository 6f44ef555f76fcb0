if vim.g.loaded_lofi then
  return
end
vim.g.loaded_lofi = 1

vim.api.nvim_create_user_command("Lofi", function(invocation)
  require("lofi.commands").run(invocation)
end, {
  nargs = "*",
  range = true,
  desc = "Make and play lofi music",
  complete = function(lead, line, column)
    return require("lofi.commands").complete(lead, line, column)
  end,
})

---@param change string
---@return fun(): string
local function volume(change)
  return function()
    return change .. 5 * vim.v.count1
  end
end

for name, action in pairs({
  toggle = { "toggle" },
  skip = { "skip" },
  previous = { "previous" },
  mute = { "mute" },
  player = { "player" },
  keep = { "keep" },
  prompt = { "prompt" },
  ["volume-up"] = { "volume", volume("+") },
  ["volume-down"] = { "volume", volume("-") },
}) do
  vim.keymap.set("n", ("<Plug>(lofi-%s)"):format(name), function()
    require("lofi.commands").execute(action[1], action[2] and action[2]())
  end, { desc = "lofi: " .. name })
end
vim.keymap.set("x", "<Plug>(lofi-prompt)", ":Lofi generate<CR>", {
  desc = "lofi: generate from the selection",
  silent = true,
})
