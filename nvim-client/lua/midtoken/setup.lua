--- `require('midtoken').setup()`: configures and enables everything in one call.

---@class midtoken.Options
---@field cmd? string[] the server (default: `{ 'midtoken', 'serve' }`)
---@field filetypes? string[] where it runs (default: those of `lsp/midtoken.lua`)
---@field settings? table<string, any> the server's settings, by their names in docs/protocol.md
---@field ghost_text? boolean show ghost text (default: true)
---@field list? boolean offer the classic completion list as you type (default: only if Neovim has no ghost text)
---@field keymaps? midtoken.Keymaps|false false for none

---@class midtoken.Keymaps each a key, or false for none
---@field accept? string|false
---@field accept_word? string|false
---@field accept_line? string|false
---@field next? string|false
---@field previous? string|false
---@field trigger? string|false
---@field dismiss? string|false

---@type table<string, string>
local KEYS = {
  accept = '<Tab>',
  accept_word = '<M-Right>',
  accept_line = '<M-End>',
  next = '<M-n>',
  previous = '<M-p>',
  trigger = '<M-\\>',
  dismiss = '<C-]>',
}

---@type table<string, string[]>
local OPTIONS = {
  cmd = { 'table' },
  filetypes = { 'table' },
  settings = { 'table' },
  ghost_text = { 'boolean' },
  list = { 'boolean' },
  keymaps = { 'table', 'boolean' },
}

local M = {}

---@param message string
local function warn(message)
  vim.notify('Midtoken: setup(): ' .. message, vim.log.levels.WARN)
end

--- The options that can be used; the others are reported, one line each.
---@param options table
---@return midtoken.Options
local function checked(options)
  local good = {}
  for name, value in pairs(options) do
    local types = OPTIONS[name]
    if not types then
      warn(("unknown option '%s'; it is ignored"):format(name))
    elseif not vim.tbl_contains(types, type(value)) then
      warn(("option '%s' is a %s where a %s belongs; it is ignored"):format(name, type(value), types[1]))
    else
      good[name] = value
    end
  end
  return good
end

---@param keymaps midtoken.Keymaps
local function map_keys(keymaps)
  for name in pairs(keymaps) do
    if not KEYS[name] then
      warn(("unknown key '%s' in keymaps; it is ignored"):format(name))
    end
  end
  for name, default in pairs(KEYS) do
    local key = keymaps[name]
    if key == nil then
      key = default
    end
    if key then
      -- Without ghost text the key keeps its usual effect.
      local falls_through = vim.startswith(name, 'accept') or name == 'dismiss'
      vim.keymap.set('i', key, function()
        local done = require('midtoken')[name]() -- only mappings with `expr` use the return value
        return done and '' or key
      end, { expr = falls_through, desc = 'Midtoken: ' .. name:gsub('_', ' ') })
    end
  end
end

local function offer_list()
  vim.api.nvim_create_autocmd('LspAttach', {
    group = vim.api.nvim_create_augroup('midtoken.list', {}),
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == 'midtoken' then
        vim.lsp.completion.enable(true, client.id, event.buf, { autotrigger = true })
      end
    end,
  })
end

---@param options? midtoken.Options
function M.run(options)
  if vim.fn.has('nvim-0.11') == 0 then
    return warn('Neovim 0.11 or later is needed; for older versions see :help midtoken-older')
  end
  local chosen = checked(options or {})
  local has_ghost_text = vim.fn.has('nvim-0.12') == 1
  vim.lsp.config('midtoken', {
    cmd = chosen.cmd,
    filetypes = chosen.filetypes,
    settings = chosen.settings and { midtoken = chosen.settings } or nil,
  })
  if chosen.list or (chosen.list == nil and not has_ghost_text) then
    offer_list()
  end
  vim.lsp.enable('midtoken')
  if has_ghost_text then
    vim.lsp.inline_completion.enable(chosen.ghost_text ~= false)
    if chosen.keymaps ~= false then
      map_keys(type(chosen.keymaps) == 'table' and chosen.keymaps or {})
    end
  end
end

return M
