--- The statusline component: what Midtoken is doing in this buffer, and how long its last answer took.

local METHOD = 'textDocument/inlineCompletion'
local MOST_NAME_CHARACTERS = 24

local M = {}

local used = false -- do not redraw if no status line shows the component
local said = {} ---@type table<integer, midtoken.Status> the last status of each client's server
local asked_at = {} ---@type table<string, number> when a request was sent
local latency_ms ---@type number?

--- Draw status lines again soon, if one of them shows us.
function M.redraw()
  if used then
    vim.schedule(function()
      vim.cmd.redrawstatus({ bang = true })
    end)
  end
end

---@param client_id integer
---@return boolean
local function is_ours(client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  return client ~= nil and client.name == 'midtoken'
end

---@param data { client_id: integer, request_id: integer, request: { method: string, type: string } }
local function on_request(data)
  if data.request.method ~= METHOD then
    return
  end
  local key = ('%d:%d'):format(data.client_id, data.request_id)
  if data.request.type == 'pending' then
    asked_at[key] = vim.uv.hrtime()
  elseif asked_at[key] then
    if data.request.type == 'complete' then
      latency_ms = (vim.uv.hrtime() - asked_at[key]) / 1e6
    end
    asked_at[key] = nil
  end
end

---@class midtoken.Status the parameters of `midtoken/status`
---@field state 'loading'|'ready'|'busy'|'off'|'error'
---@field message string?
---@field model string? the name of the model that serves

---@param client_id integer
---@param status table
function M.on_status(client_id, status)
  local message = type(status.message) == 'string' and status.message or nil
  local model = type(status.model) == 'string' and status.model or nil
  said[client_id] = { state = status.state, message = message, model = model }
  M.redraw()
end

--- The last status of a client's server.
---@param client_id integer
---@return midtoken.Status?
function M.of(client_id)
  return said[client_id]
end

---@param event vim.api.keyset.create_autocmd.callback_args
function M.on_event(event)
  if not is_ours(event.data.client_id) then
    return
  elseif event.event == 'LspRequest' then
    on_request(event.data)
  elseif event.event == 'LspAttach' then
    require('midtoken.server').stopped = false -- another buffer or the user has started one that works
  elseif event.event == 'LspDetach' then
    asked_at = {}
  end
  M.redraw()
end

---@param name string?
---@return string
local function shown(name)
  local plain = (name or ''):gsub('[%%%c]', '') -- a status line would take the text after a % for an item
  if vim.fn.strchars(plain) <= MOST_NAME_CHARACTERS then
    return plain
  end
  return vim.trim(vim.fn.strcharpart(plain, 0, MOST_NAME_CHARACTERS - 1)) .. '…'
end

--- The time from the last request for ghost text to its answer.
---@return number? # milliseconds
function M.latency_ms()
  return latency_ms
end

---@return string
function M.component()
  used = true
  if require('midtoken.server').stopped then
    return 'Midtoken: stopped'
  end
  local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
  if not client then
    return ''
  elseif vim.fn.has('nvim-0.12') == 1 and not vim.lsp.inline_completion.is_enabled({ bufnr = 0 }) then
    return 'Midtoken: off'
  end
  local told = said[client.id] or {}
  if told.state == 'loading' or told.state == 'off' or told.state == 'error' then
    return 'Midtoken: ' .. told.state
  end
  local name = shown(told.model)
  local text = name == '' and 'Midtoken' or 'Midtoken: ' .. name
  return latency_ms and ('%s %.0f ms'):format(text, latency_ms) or text
end

return M
