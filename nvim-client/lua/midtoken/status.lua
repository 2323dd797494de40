--- The statusline component: what Midtoken is doing in this buffer, and how long its last answer took.

local METHOD = 'textDocument/inlineCompletion'

local M = {}

local used = false -- nobody pays for redrawing a component that no status line has
local loading = {} ---@type table<integer, true> clients whose model is being loaded
local asked_at = {} ---@type table<string, number> when a request went out
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

---@param data { client_id: integer, params: { value: table? } }
local function on_progress(data)
  local kind = type(data.params.value) == 'table' and data.params.value.kind
  if kind == 'begin' then
    loading[data.client_id] = true
  elseif kind == 'end' then
    loading[data.client_id] = nil
  end
end

---@param event vim.api.keyset.create_autocmd.callback_args
function M.on_event(event)
  if not is_ours(event.data.client_id) then
    return
  elseif event.event == 'LspRequest' then
    on_request(event.data)
  elseif event.event == 'LspProgress' then
    on_progress(event.data)
  elseif event.event == 'LspAttach' then
    require('midtoken.server').stopped = false -- another buffer, or the user, started one that works
  elseif event.event == 'LspDetach' then
    loading[event.data.client_id] = nil
    asked_at = {}
  end
  M.redraw()
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
  elseif loading[client.id] then
    return 'Midtoken: loading'
  end
  return latency_ms and ('Midtoken %.0f ms'):format(latency_ms) or 'Midtoken'
end

return M
