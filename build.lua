-- lazy.nvim runs this file after it has fetched or updated the plugin. It installs the daemon into the
-- plugin's own folder; without it the first `:Lofi` offers to.

local root = vim.fs.dirname(vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p"))
vim.opt.runtimepath:append(root)

local managed, async = pcall(require, "lazy.async")
local task = managed and async.running()
local done, problem = false, nil

require("lofi.install").start(function(failure)
  done, problem = true, failure
  if task then
    task:resume()
  end
end)

if task then
  while not done do
    task:suspend() -- lazy.nvim goes on meanwhile
  end
else
  vim.wait(30 * 60 * 1000, function()
    return done
  end, 100)
end
if problem or not done then
  error(tostring(problem or "the installation does not end"), 0)
end
