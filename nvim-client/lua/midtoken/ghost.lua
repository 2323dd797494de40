--- The actions of the keys: accepting all or a part, alternatives, dismissal.
---
--- Neovim shows ghost text and keeps it. Accepting goes through its public `on_accept`. Asking for alternatives and
--- showing the rest after a partial acceptance have no public function in 0.12. They use the object that Neovim keeps
--- for a buffer. If a later version has no such object, only these two actions are missing.

local METHOD = 'textDocument/inlineCompletion'
local INVOKED = 1
local AUTOMATIC = 2

local M = {}

--- Neovim's own object for the ghost text of a buffer.
---@param bufnr integer
---@return table?
local function completor(bufnr)
  local ok, capability = pcall(require, 'vim.lsp._capability')
  local inline = ok and type(capability.all) == 'table' and capability.all.inline_completion
  return inline and type(inline.active) == 'table' and inline.active[bufnr] or nil
end

--- Whether this version of Neovim can ask for alternatives; for the health check.
---@return boolean
function M.can_ask()
  local ok, capability = pcall(require, 'vim.lsp._capability')
  local inline = ok and type(capability.all) == 'table' and capability.all.inline_completion
  return type(inline) == 'table' and type(inline.handler) == 'function' and type(inline.active) == 'table'
end

---@param message string
local function say(message)
  vim.notify('Midtoken: ' .. message, vim.log.levels.INFO)
end

---@param item vim.lsp.inline_completion.Item
---@return boolean
local function is_ours(item)
  local client = vim.lsp.get_client_by_id(item.client_id)
  return client ~= nil and client.name == 'midtoken' and type(item.insert_text) == 'string' and item.range ~= nil
end

--- The text that one of our items still adds at the cursor. Its range ends where the cursor was at the request. Since
--- then the user may have typed a part of it, or something else.
---@param item vim.lsp.inline_completion.Item
---@param bufnr integer
---@return string? # nil if it does not fit the text there now
local function rest_of(item, bufnr)
  local range = item.range --[[@as table]]
  -- An experimental type, whose fields were nested in early versions.
  local row, column = range.start_row or range.start.row, range.start_col or range.start.col
  local cursor = vim.api.nvim_win_get_cursor(0)
  if cursor[1] - 1 ~= row or cursor[2] < column then
    return nil
  end
  local typed = vim.api.nvim_buf_get_text(bufnr, row, column, row, cursor[2], {})[1]
  return vim.startswith(item.insert_text, typed) and item.insert_text:sub(#typed + 1) or nil
end

---@param text string not empty
local function insert_at_cursor(text)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local lines = vim.split(text, '\n', { plain = true })
  vim.go.undolevels = vim.go.undolevels -- ends the undo block: `u` undoes the acceptance, not the typing
  vim.api.nvim_buf_set_text(0, row - 1, column, row - 1, column, lines)
  vim.api.nvim_win_set_cursor(0, { row + #lines - 1, (#lines == 1 and column or 0) + #lines[#lines] })
end

--- Tell the server what was inserted: the item's own command for the whole of it, a notification for a part.
---@param item vim.lsp.inline_completion.Item
---@param bufnr integer
---@param left integer number of its bytes that were not inserted
local function report(item, bufnr, left)
  local client = vim.lsp.get_client_by_id(item.client_id)
  if not client or not item.command then
    return -- an older server, which does not count acceptances
  elseif left == 0 then
    client:exec_cmd(item.command, { bufnr = bufnr })
  else
    local inserted = item.insert_text:sub(1, #item.insert_text - left)
    client:notify('textDocument/didPartiallyAcceptCompletion', {
      item = { insertText = item.insert_text, command = item.command },
      acceptedLength = vim.str_utfindex(inserted, 'utf-16'),
    })
  end
end

---@alias midtoken.Part 'all'|'word'|'line'

---@param rest string
---@param part midtoken.Part
---@return string
function M.cut(rest, part)
  if part == 'word' then
    -- Up to where `e` would go: white space, then keyword characters or others, never both.
    local word = vim.fn.matchstr(rest, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
    return word ~= '' and word or rest
  elseif part == 'line' then
    return rest:match('^\n?[^\n]*')
  end
  return rest
end

--- Accept the ghost text or a part of it. Items of other servers are accepted as a whole.
---@param part midtoken.Part
---@return boolean # false if there is none, so that a mapping can do something else
function M.accept(part)
  local bufnr = vim.api.nvim_get_current_buf()
  local shown = completor(bufnr)
  local current = shown and shown.current
  if current and is_ours(current) and (rest_of(current, bufnr) or '') == '' then
    return false -- an item for old text: Neovim shows it until the answer for the new text arrives
  end
  return vim.lsp.inline_completion.get({
    bufnr = bufnr,
    on_accept = function(item)
      if not is_ours(item) then
        return item
      end
      local rest = rest_of(item, bufnr)
      if not rest or rest == '' then
        return nil
      end
      local accepted = M.cut(rest, part)
      insert_at_cursor(accepted)
      report(item, bufnr, #rest - #accepted)
      if #accepted < #rest and not accepted:find('\n') and shown and shown.show then
        shown.current = item -- until the answer for the new text arrives, the rest of this item is shown
        shown:show()
      end
      return nil
    end,
  })
end

--- Ask a server at the cursor. Its answer is shown if the cursor is still there when it comes.
---@param client vim.lsp.Client
---@param bufnr integer the current buffer
---@param kind integer of the trigger
---@param and_then fun() called when it is shown
local function request(client, bufnr, kind, and_then)
  local shown = completor(bufnr)
  local cursor = vim.api.nvim_win_get_cursor(0)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@cast params table
  params.context = { triggerKind = kind }
  client:request(METHOD, params, function(err, result, ctx)
    if
      not shown
      or completor(bufnr) ~= shown
      or not shown.client_state[ctx.client_id]
      or vim.api.nvim_get_current_buf() ~= bufnr
      or not vim.deep_equal(cursor, vim.api.nvim_win_get_cursor(0))
    then
      return -- the answer to an outdated request
    end
    shown:handler(err, result, ctx)
    and_then()
  end, bufnr)
end

--- Ask now, for several alternatives.
---@param step integer how far to go from the first one
function M.ask(step)
  local bufnr = vim.api.nvim_get_current_buf()
  local shown = completor(bufnr)
  local clients = vim.lsp.get_clients({ bufnr = bufnr, method = METHOD })
  if not M.can_ask() then
    return say('this version of Neovim cannot ask for alternatives')
  elseif #clients == 0 then
    return say('no server is attached to this buffer; see :checkhealth midtoken')
  elseif not shown then
    return say('ghost text is off in this buffer; turn it on with :Midtoken toggle')
  end
  shown:reset_timer() -- a later automatic request would replace the alternatives by one item
  for _, client in ipairs(clients) do
    request(client, bufnr, INVOKED, function()
      if not shown.current then
        say('no suggestion here')
      elseif step ~= 0 and shown:count_items() > 1 then
        vim.lsp.inline_completion.select({ bufnr = bufnr, count = step })
      end
    end)
  end
end

---@class midtoken.MoreText the parameters of `midtoken/moreText`
---@field textDocument { uri: string, version: integer }
---@field position { line: integer, character: integer }

--- The server has more text than it answered. Ask again if the cursor has not moved and the text has not changed.
---@param client_id integer
---@param more midtoken.MoreText
function M.ask_for_more(client_id, more)
  local client = vim.lsp.get_client_by_id(client_id)
  local bufnr = vim.api.nvim_get_current_buf()
  if not client or not M.can_ask() or not completor(bufnr) or vim.api.nvim_get_mode().mode:sub(1, 1) ~= 'i' then
    return
  end
  local place = vim.lsp.util.make_position_params(0, client.offset_encoding)
  local is_there = place.textDocument.uri == more.textDocument.uri
    and vim.lsp.util.buf_versions[bufnr] == more.textDocument.version
    and vim.deep_equal(place.position, more.position)
  if is_there then
    request(client, bufnr, AUTOMATIC, function() end)
  end
end

--- Show another alternative. While typing there is only one, so the others are requested first.
---@param step integer
function M.cycle(step)
  local bufnr = vim.api.nvim_get_current_buf()
  local shown = completor(bufnr)
  if shown and shown.current and shown:count_items() > 1 then
    vim.lsp.inline_completion.select({ bufnr = bufnr, count = step })
  else
    M.ask(step)
  end
end

---@return boolean # false if there was nothing to dismiss
function M.dismiss()
  return vim.lsp.inline_completion.get({
    on_accept = function()
      return nil -- Neovim has removed the ghost text; nothing is inserted
    end,
  })
end

return M
