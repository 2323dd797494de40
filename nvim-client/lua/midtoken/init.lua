--- Midtoken: ghost text that is right in the middle of a token. |midtoken|
---
--- Nothing here has to be called: `vim.lsp.enable('midtoken')` and `vim.lsp.inline_completion.enable()` are enough.

local M = {}

--- Optional: configures and enables everything in one call, with keys. |midtoken-setup|
---@param options? midtoken.Options
function M.setup(options)
  require('midtoken.setup').run(options)
end

--- Insert the ghost text.
---@return boolean # whether there was any
function M.accept()
  return require('midtoken.ghost').accept('all')
end

--- Insert the ghost text up to the end of its next word.
---@return boolean # whether there was any
function M.accept_word()
  return require('midtoken.ghost').accept('word')
end

--- Insert the ghost text up to the end of its next line.
---@return boolean # whether there was any
function M.accept_line()
  return require('midtoken.ghost').accept('line')
end

--- Show the next alternative. If there are none, ask for alternatives first.
function M.next()
  require('midtoken.ghost').cycle(vim.v.count1)
end

--- Show the previous alternative.
function M.previous()
  require('midtoken.ghost').cycle(-vim.v.count1)
end

--- Ask for several alternatives now. Tell the user if there are none.
function M.trigger()
  require('midtoken.ghost').ask(0)
end

--- Remove the ghost text until something is typed.
---@return boolean # whether there was any
function M.dismiss()
  return require('midtoken.ghost').dismiss()
end

--- Turn ghost text on or off, everywhere or in one buffer.
---@param bufnr? integer 0 for the current buffer; nil for all
---@return boolean # whether it is on now
function M.toggle(bufnr)
  local filter = bufnr and { bufnr = bufnr } or nil
  local on = not vim.lsp.inline_completion.is_enabled(filter)
  vim.lsp.inline_completion.enable(on, filter)
  require('midtoken.status').redraw()
  return on
end

--- Start the server again, also after repeated crashes.
function M.restart()
  require('midtoken.server').restart()
end

--- For a status line; empty in buffers without Midtoken. |midtoken-statusline|
---@return string
function M.status()
  return require('midtoken.status').component()
end

return M
