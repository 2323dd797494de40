---@type vim.lsp.Config
return {
  cmd = { 'midtoken', 'serve' },
  -- onnxruntime sends nothing, and Python imports nothing from the current folder or from a project's PYTHONPATH.
  cmd_env = { ORT_DISABLE_TELEMETRY = '1', PYTHONPATH = '', PYTHONSAFEPATH = '1' },
  -- Where the bundled model was found to help. With a model of your own, name what it knows:
  -- vim.lsp.config('midtoken', { filetypes = { 'python', 'haskell' } })
  filetypes = {
    'c',
    'cpp',
    'go',
    'java',
    'javascript',
    'javascriptreact',
    'lua',
    'python',
    'ruby',
    'rust',
    'typescript',
    'typescriptreact',
  },
  -- No root: the server does not use one, and a server for each project would load the model again.
  reuse_client = function(client, config)
    return client.name == config.name and not client:is_stopped()
  end,
  capabilities = { experimental = { midtokenStatus = true, midtokenMoreText = true } },
  handlers = {
    ['midtoken/status'] = function(_, status, ctx)
      require('midtoken.status').on_status(ctx.client_id, status)
    end,
    ['midtoken/moreText'] = function(_, more, ctx)
      require('midtoken.ghost').ask_for_more(ctx.client_id, more)
    end,
  },
  on_exit = function(code, signal, client_id)
    require('midtoken.server').on_exit(code, signal, client_id)
  end,
  -- A server that is running the model should not delay the end of the editor.
  exit_timeout = 500,
}
