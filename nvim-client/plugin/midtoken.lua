-- Loaded at startup. It defines names and events, and loads the rest only when one of them is used.

if vim.g.loaded_midtoken or vim.fn.has('nvim-0.12') == 0 then
  return -- on older versions require('midtoken').setup() and :checkhealth midtoken still work
end
vim.g.loaded_midtoken = true

local group = vim.api.nvim_create_augroup('midtoken', {})

vim.api.nvim_create_autocmd('InsertEnter', {
  group = group,
  desc = 'Midtoken: say once that the server is missing, which vim.lsp only logs',
  callback = function(event)
    if vim.lsp.is_enabled('midtoken') then
      require('midtoken.server').warn_if_missing(event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd({ 'LspRequest', 'LspAttach', 'LspDetach' }, {
  group = group,
  desc = 'Midtoken: keep the statusline component up to date',
  callback = function(event)
    require('midtoken.status').on_event(event)
  end,
})

vim.api.nvim_create_autocmd({ 'BufEnter', 'LspAttach' }, {
  group = group,
  desc = 'Midtoken: let the server read what the first request will need',
  callback = function(event)
    if vim.lsp.is_enabled('midtoken') then
      require('midtoken.server').tell_focus(event.buf)
    end
  end,
})

for name, action in pairs({
  accept = 'accept',
  ['accept-word'] = 'accept_word',
  ['accept-line'] = 'accept_line',
  next = 'next',
  previous = 'previous',
  trigger = 'trigger',
  dismiss = 'dismiss',
}) do
  vim.keymap.set('i', ('<Plug>(midtoken-%s)'):format(name), function()
    require('midtoken')[action]()
  end, { desc = 'Midtoken: ' .. action:gsub('_', ' ') })
end

vim.api.nvim_create_user_command('Midtoken', function(command)
  require('midtoken.command').run(command.fargs)
end, {
  nargs = '*',
  desc = 'Midtoken: toggle, restart, model, cancel, model-info, statistics, log, health',
  complete = function(start)
    return require('midtoken.command').complete(start)
  end,
})
