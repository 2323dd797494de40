--- `:checkhealth midtoken`

local health = vim.health

local M = {}

local TIMEOUT_MS = 20000

---@return boolean # whether this version can show ghost text
local function check_neovim()
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.12') == 1 then
    health.ok(('Neovim %s can show ghost text'):format(version))
    if not require('midtoken.ghost').can_ask() then
      health.warn('This Neovim cannot ask for alternatives; accepting and typing through work')
    end
    return true
  end
  local advice = { 'Install Neovim 0.12 or later for ghost text', 'Until then: :help midtoken-older' }
  if vim.fn.has('nvim-0.11') == 1 then
    health.warn(('Neovim %s has no ghost text (vim.lsp.inline_completion); the list works'):format(version), advice)
  else
    health.warn(
      ('Neovim %s has neither vim.lsp.config nor ghost text; the list works through vim.lsp.start'):format(version),
      advice
    )
  end
  return false
end

--- The server's own name and version.
---@param config vim.lsp.Config
local function check_version(config)
  local cmd = vim.list_slice(config.cmd --[[@as string[] ]])
  if cmd[#cmd] ~= 'serve' then
    return health.info('The version is not asked for: the command is not `… serve`')
  end
  cmd[#cmd] = '--version'
  local ok, done = pcall(function()
    return vim.system(cmd, { text = true, env = config.cmd_env, timeout = TIMEOUT_MS }):wait()
  end)
  local text = ok and vim.trim(done.stdout or '') or ''
  if ok and done.code == 0 and vim.startswith(text, 'midtoken ') then
    health.ok(text)
  else
    local said = vim.split(vim.trim(ok and done.stderr or tostring(done)), '\n')
    health.error(('`%s` does not work: %s'):format(table.concat(cmd, ' '), said[#said]), {
      'Install it again, into an environment of its own: :help midtoken-installation',
    })
  end
end

---@param config vim.lsp.Config
local function check_server(config)
  if type(config.cmd) ~= 'table' then
    return health.info('The server is started by a function of your configuration')
  elseif require('midtoken.server').problem(config) then
    return health.error(("The server '%s' is not installed or not on the PATH"):format(config.cmd[1]), {
      'Install it: :help midtoken-installation',
      "Or say where it is: vim.lsp.config('midtoken', { cmd = { '/path/to/midtoken', 'serve' } })",
    })
  end
  health.ok('Server: ' .. vim.fn.exepath(config.cmd[1]))
  check_version(config)
end

---@param config vim.lsp.Config
local function check_settings(config)
  local settings = config.settings and config.settings.midtoken or {}
  local model = settings.model
  local is_path = type(model) == 'string' and model:find('^[~/.]') ~= nil -- else it is a name of a model
  if is_path and vim.fn.isdirectory(vim.fn.expand(model)) == 0 then
    health.error(('The model folder does not exist: %s'):format(model), { "Correct the setting 'model'" })
  end
  health.info('Settings: ' .. (next(settings) and vim.inspect(settings, { newline = ' ', indent = '' }) or 'none'))
end

---@param has_ghost_text boolean
local function check_enabled(has_ghost_text)
  -- Neovim has this function since 0.12. On older versions a running client answers.
  if vim.lsp.is_enabled and not vim.lsp.is_enabled('midtoken') then
    health.warn('The server is not enabled', { "Add: vim.lsp.enable('midtoken')" })
  end
  if has_ghost_text and not vim.lsp.inline_completion.is_enabled() then
    health.warn('Ghost text is off', { 'Add: vim.lsp.inline_completion.enable()', 'Or turn it on: :Midtoken toggle' })
  end
end

local function check_clients()
  if require('midtoken.server').stopped then
    health.error('The server crashed and was given up', { 'See :Midtoken log, then :Midtoken restart' })
  end
  local clients = vim.lsp.get_clients({ name = 'midtoken' })
  if #clients == 0 then
    health.info('No server is running: one starts with the first buffer of its filetypes')
  end
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_count(client.attached_buffers)
    health.ok(('Running for %d buffer(s), positions in %s'):format(buffers, client.offset_encoding))
    local status = require('midtoken.status').of(client.id)
    if status and status.state == 'error' then
      health.error('The server is in trouble: ' .. (status.message or 'it does not say why'), { 'See :Midtoken log' })
    elseif status and status.message then
      health.warn(status.message)
    end
    if not client.server_capabilities.inlineCompletionProvider then
      health.error('This server offers no ghost text', { 'It is too old: :help midtoken-installation' })
    end
  end
  local latency_ms = require('midtoken.status').latency_ms()
  if latency_ms then
    health.info(('The last answer took %.0f ms'):format(latency_ms))
  end
end

function M.check()
  health.start('midtoken: Neovim')
  local has_ghost_text = check_neovim()
  if vim.fn.has('nvim-0.11') == 0 then
    return
  end
  local config = vim.lsp.config.midtoken
  if not config then
    return health.error('lsp/midtoken.lua is not found', { "Put nvim-client on the 'runtimepath'" })
  end
  check_enabled(has_ghost_text)
  health.start('midtoken: server')
  check_server(config)
  check_settings(config)
  check_clients()
end

return M
