--- The server process: missing, crashed, started again.

local WINDOW_MS = 3 * 60 * 1000
local MOST_RESTARTS = 5

local M = {
  ---@type integer doubled with every restart within three minutes
  first_delay_ms = 500,
  ---@type boolean stopped after repeated crashes; only `restart()` starts it again
  stopped = false,
}

local crashes = {} ---@type integer[] when they happened, in milliseconds
local worked = false -- in this series of crashes, one server got as far as answering
local told = {} ---@type table<string, true> programs that were reported as missing

--- Why the configured server cannot be started, in one line. It must fit a narrow screen, or Neovim waits for a key.
---@param config? vim.lsp.Config
---@return string? # nil if it can be started, as far as is known
function M.problem(config)
  local cmd = config and config.cmd
  if type(cmd) == 'table' and vim.fn.executable(cmd[1]) == 0 then
    return ("'%s' is not on the PATH; see :checkhealth midtoken"):format(cmd[1])
  end
end

--- Tell the user once that there is no server, when one is needed. |vim.lsp.enable()| itself writes only to its log.
---@param bufnr integer
function M.warn_if_missing(bufnr)
  local config = vim.lsp.config.midtoken
  if vim.bo[bufnr].buftype ~= '' or not config then
    return
  elseif config.filetypes and not vim.list_contains(config.filetypes, vim.bo[bufnr].filetype) then
    return
  end
  local problem = M.problem(config)
  if problem and not told[problem] then
    told[problem] = true
    vim.schedule(function() -- inside the event it would look like an error of the event
      vim.notify('Midtoken: ' .. problem, vim.log.levels.ERROR)
    end)
  end
end

---@param reason string
local function give_up(reason)
  M.stopped = true
  vim.notify(('Midtoken: the server %s and stays off; see :Midtoken log'):format(reason), vim.log.levels.ERROR)
  require('midtoken.status').redraw()
end

---@param client vim.lsp.Client
---@param buffers integer[]
local function start_again(client, buffers)
  if M.stopped or not vim.lsp.is_enabled(client.name) then
    return
  end
  for _, bufnr in ipairs(buffers) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      vim.lsp.start(client.config, { bufnr = bufnr, reuse_client = client.config.reuse_client })
    end
  end
end

---@param client vim.lsp.Client
---@param buffers integer[]
local function after_crash(client, buffers)
  if vim.v.exiting ~= vim.NIL or not vim.lsp.is_enabled(client.name) or M.stopped then
    return
  end
  local now = vim.uv.now()
  crashes = vim.tbl_filter(function(time)
    return now - time < WINDOW_MS
  end, crashes)
  worked = client.initialized or (worked and #crashes > 0)
  table.insert(crashes, now)
  if not worked then
    give_up('ended at start')
  elseif #crashes > MOST_RESTARTS then
    give_up(('crashed %d times'):format(#crashes))
  else
    vim.defer_fn(function()
      start_again(client, buffers)
    end, M.first_delay_ms * 2 ^ (#crashes - 1))
  end
end

--- Runs on every end of the server, in a context where little of the API may be called.
---@param code integer
---@param signal integer
---@param client_id integer
function M.on_exit(code, signal, client_id)
  local client = vim.lsp.get_client_by_id(client_id)
  local asked_for = (code == 0 and signal == 0) or signal == 15
  if not client or asked_for or client._is_stopping then
    return
  end
  local buffers = vim.tbl_keys(client.attached_buffers)
  vim.schedule(function()
    after_crash(client, buffers)
  end)
end

--- Tell the server where the cursor is, so that it can read ahead for the first request there.
---@param bufnr integer
function M.tell_focus(bufnr)
  if bufnr ~= vim.api.nvim_get_current_buf() then
    return
  end
  for _, client in ipairs(vim.lsp.get_clients({ name = 'midtoken', bufnr = bufnr })) do
    client:notify('midtoken/didFocus', vim.lsp.util.make_position_params(0, client.offset_encoding))
  end
end

--- Start the server again and forget earlier crashes.
function M.restart()
  crashes, worked, told, M.stopped = {}, false, {}, false
  if not vim.lsp.config.midtoken then
    return
  end
  local problem = M.problem(vim.lsp.config.midtoken)
  if problem then
    vim.notify('Midtoken: ' .. problem, vim.log.levels.ERROR)
  elseif #vim.lsp.get_clients({ name = 'midtoken' }) > 0 then
    vim.cmd('lsp restart midtoken')
  else
    vim.lsp.enable('midtoken') -- starts it for the buffers that are open
  end
  require('midtoken.status').redraw()
end

return M
