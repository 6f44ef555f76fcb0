---`:Lofi`: what was typed becomes a subcommand, a prompt, or a question where it looks like a slip.

local announce = require("lofi.announce")
local complete = require("lofi.complete")
local install = require("lofi.install")
local lofi = require("lofi")
local message = require("lofi.message")
local parameters = require("lofi.parameters")
local subcommands = require("lofi.subcommands")

local M = {}

---Runs what needs a daemon: at once where one is to be found, after an installation elsewhere. What is
---wrong with the options is a message here as everything is, and no trace of calls.
---@param action fun()
local function with_daemon(action)
  local fine, problem = pcall(require("lofi.config").get)
  if not fine then
    message.complain((tostring(problem):gsub("^lofi: ", "")), "See :help lofi-options.")
  elseif require("lofi.discovery").find() then
    action()
  else
    install.offer(action)
  end
end

---@param name string
---@param text? string
---@param lines? string[] of the buffer, for a subcommand that takes some
function M.execute(name, text, lines)
  text = vim.trim(text or "")
  local subcommand = subcommands.by_name[name]
  local words = text == "" and {} or vim.split(text, "%s+")
  if #words > 0 and not subcommand.args then
    return message.complain(
      ("`:Lofi %s` takes no more words"):format(name),
      (":Lofi generate %s %s makes a track of them."):format(name, text)
    )
  end
  local function action()
    subcommand.run(words, text, lines)
  end
  if subcommand.offline then
    action()
  else
    with_daemon(action)
  end
end

---The selected text where the command came from a visual selection, the lines of the range elsewhere.
---@param invocation table
---@return string[]
local function selected_lines(invocation)
  local from, to = vim.fn.getpos("'<"), vim.fn.getpos("'>")
  if from[2] == invocation.line1 and to[2] == invocation.line2 then
    return vim.fn.getregion(from, to, { type = vim.fn.visualmode() })
  end
  return vim.api.nvim_buf_get_lines(0, invocation.line1 - 1, invocation.line2, false)
end

---@param invocation table
---@return string prompt of one line
local function selection(invocation)
  local text = vim.trim((table.concat(selected_lines(invocation), " "):gsub("%s+", " ")))
  return vim.fn.strcharpart(text, 0, 512)
end

---@param invocation table
---@param words string[] parameters, and the beginning of the prompt
local function generate_from_range(invocation, words)
  local options, problem = parameters.from_words(words)
  if not options then
    return message.complain(problem)
  end
  options.prompt = vim.trim(options.prompt .. " " .. selection(invocation))
  options.play = require("lofi.config").get().autoplay
  lofi.generate(options)
end

---The subcommand that a bare word was probably meant to be.
---@param word string
---@return string?
local function probably(word)
  local names = {}
  for _, subcommand in ipairs(subcommands.list) do
    local lower = word:lower()
    if subcommand.name == lower or vim.list_contains(subcommand.also or {}, lower) then
      return subcommand.name
    end
    names[#names + 1] = subcommand.name
  end
  return announce.near(word, names)
end

---@param word string
---@return boolean asked whether it looked like a slip, and was asked about
local function ask_about(word)
  local choices = {}
  local subcommand = probably(word)
  if subcommand then
    choices[1] = {
      label = ":Lofi " .. subcommand,
      run = function()
        M.execute(subcommand)
      end,
    }
  end
  local names = require("lofi.presets").names()
  local preset = vim.list_contains(names, word:lower()) and word:lower()
    or require("lofi.text").closest(word, names)
  if preset then
    choices[#choices + 1] = {
      label = ":Lofi radio " .. preset,
      run = function()
        M.execute("radio", preset)
      end,
    }
  end
  if #choices == 0 then
    return false
  end
  choices[#choices + 1] = {
    label = ("make a track of the prompt %q"):format(word),
    run = function()
      M.execute("generate", word)
    end,
  }
  announce.ask((":Lofi %s?"):format(word), choices)
  return true
end

---@param invocation table what a user command's function gets
function M.run(invocation)
  local text = vim.trim(invocation.args)
  local name, rest = text:match("^(%S+)%s*(.-)$")
  local ranged = invocation.range > 0
  local subcommand = subcommands.by_name[name]
  if subcommand and subcommand.takes_lines then
    M.execute(name, rest, ranged and selected_lines(invocation) or nil)
  elseif ranged then
    local words = vim.split(name == "generate" and rest or text, "%s+", { trimempty = true })
    with_daemon(function()
      generate_from_range(invocation, words)
    end)
  elseif not name then
    M.execute("toggle")
  elseif subcommand then
    M.execute(name, rest)
  elseif rest ~= "" or not ask_about(name) then
    M.execute("generate", text)
  end
end

---@param lead string the word at the cursor
---@param line string
---@param column integer
---@return string[]
function M.complete(lead, line, column)
  local before = line:sub(1, column):gsub("^.-Lofi%s*", "")
  local words = vim.split(before:sub(1, #before - #lead), "%s+", { trimempty = true })
  if #words == 0 then
    local names = vim.tbl_map(function(subcommand)
      return subcommand.name
    end, subcommands.list)
    return complete.matching(names, lead)
  end
  local subcommand = subcommands.by_name[table.remove(words, 1)]
  if not subcommand then
    return complete.parameters(words, lead)
  end
  return subcommand.complete and subcommand.complete(words, lead) or {}
end

return M
