---Text as people read it: clocks, names, and strings of strangers made harmless. Knows nothing of the
---plugin's state.

local M = {}

-- What a track's name may take; a prompt this short is its own name.
local NAME_WIDTH = 40

-- What well-formed UTF-8 of more than one byte looks like (Unicode 16, table 3-7).
local SEQUENCES = {
  "[\194-\223][\128-\191]",
  "\224[\160-\191][\128-\191]",
  "[\225-\236\238\239][\128-\191][\128-\191]",
  "\237[\128-\159][\128-\191]",
  "\240[\144-\191][\128-\191][\128-\191]",
  "[\241-\243][\128-\191][\128-\191][\128-\191]",
  "\244[\128-\143][\128-\191][\128-\191]",
}

---@param text string
---@return boolean
function M.is_utf8(text)
  if not text:find("[\128-\255]") then
    return true
  end
  for _, sequence in ipairs(SEQUENCES) do
    text = text:gsub(sequence, ".")
  end
  return not text:find("[\128-\255]")
end

---Characters that would do something instead of being seen: control characters, C1, and those that
---turn the direction of what follows. Newlines and tabs become blanks. May be called anywhere.
---@param text any
---@return string text of one line, valid UTF-8
function M.shown(text)
  text = tostring(text):gsub("[\t-\r]", " "):gsub("[%c\127]", "�")
  if not M.is_utf8(text) then
    return (text:gsub("[\128-\255]+", "�"))
  end
  -- U+0080–U+009F, U+061C, U+200E/F, U+2028–U+202E, U+2066–U+2069
  text = text:gsub("\194[\128-\159]", "�"):gsub("\216\156", "�")
  text = text:gsub("\226\128[\142\143\168-\174]", "�"):gsub("\226\129[\166-\169]", "�")
  return text
end

---@param seconds number
---@return string clock such as "1:05"
function M.clock(seconds)
  seconds = math.max(0, math.floor(seconds))
  return ("%d:%02d"):format(math.floor(seconds / 60), seconds % 60)
end

---@param text string
---@param width integer cells
---@return string
function M.shorten(text, width)
  text = M.shown(text):gsub(" +", " ")
  if vim.api.nvim_strwidth(text) <= width then
    return text
  elseif width < 1 then
    return ""
  end
  local short = vim.fn.strcharpart(text, 0, width - 1)
  while vim.api.nvim_strwidth(short) > width - 1 do
    short = vim.fn.strcharpart(short, 0, vim.fn.strchars(short) - 1)
  end
  return short .. "…"
end

---@param part string
---@return boolean whether nearly every prompt has it, so that it tells nothing of this one
local function common(part)
  return part:match("^%d+ bpm$") ~= nil
    or part == "instrumental"
    or part == "chillhop"
    or part:match("^lo%-?fi$") ~= nil
    or part:match("^lo%-?fi hip hop$") ~= nil
    or part:match("^lo%-?fi beats?$") ~= nil
end

---What a track is called: a short prompt as it is, a long one by as many of its own words as fit, after
---the name of the preset it is from.
---@param prompt string
---@param preset? string
---@return string name such as "rainy night · mellow rhodes chords"
function M.name(prompt, preset)
  local head = preset and M.shown(preset) .. " · " or ""
  local room = NAME_WIDTH - vim.api.nvim_strwidth(head)
  prompt = vim.trim(M.shown(prompt))
  if not preset and vim.api.nvim_strwidth(prompt) <= room then
    return prompt
  end
  local name = ""
  for part in vim.gsplit(prompt, ",", { plain = true }) do
    part = vim.trim(part)
    if part ~= "" and not common(part) then
      local longer = name == "" and part or name .. ", " .. part
      if name ~= "" and vim.api.nvim_strwidth(longer) > room then
        break
      end
      name = longer
    end
  end
  return head .. M.shorten(name ~= "" and name or prompt, math.max(8, room))
end

---@param one string
---@param other string
---@return integer edits how many letters have to be put in, left out, changed or swapped
local function distance(one, other)
  local before, last = {}, {}
  for column = 0, #other do
    last[column] = column
  end
  for row = 1, #one do
    local now = { [0] = row }
    for column = 1, #other do
      local same = one:byte(row) == other:byte(column)
      now[column] =
        math.min(last[column] + 1, now[column - 1] + 1, last[column - 1] + (same and 0 or 1))
      if
        row > 1
        and column > 1
        and one:byte(row) == other:byte(column - 1)
        and one:byte(row - 1) == other:byte(column)
      then
        now[column] = math.min(now[column], before[column - 2] + 1)
      end
    end
    before, last = last, now
  end
  return last[#other]
end

---@param word string
---@param known string[]
---@return string? closest the known name that this was probably meant to be: one slip in up to five
---letters, two in more
function M.closest(word, known)
  local best, fewest = nil, #word <= 5 and 2 or 3
  for _, name in ipairs(known) do
    local edits = distance(word:lower(), name:lower())
    if edits < fewest then
      best, fewest = name, edits
    end
  end
  return best
end

return M
