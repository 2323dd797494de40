--- `:Midtoken`

--- Show the server's answer to one of its own commands.
---@param name string
local function ask_server(name)
  local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
    or vim.lsp.get_clients({ name = 'midtoken' })[1]
  if not client then
    vim.notify('Midtoken: no server is running; see :checkhealth midtoken', vim.log.levels.WARN)
    return
  end
  client:request('workspace/executeCommand', { command = 'midtoken.server.' .. name }, function(err, result)
    vim.notify(err and err.message or vim.inspect(result), err and vim.log.levels.ERROR or vim.log.levels.INFO)
  end)
end

---@type table<string, fun(argument?: string)>
local actions = {
  statistics = function()
    ask_server('statistics')
  end,
  model = function(name)
    require('midtoken.models').choose(name)
  end,
  cancel = function()
    require('midtoken.models').cancel()
  end,
  ['model-info'] = function()
    ask_server('modelInfo')
  end,
  toggle = function()
    vim.notify('Midtoken: ghost text is ' .. (require('midtoken').toggle() and 'on' or 'off'))
  end,
  ['toggle-buffer'] = function()
    local state = require('midtoken').toggle(0) and 'on' or 'off'
    vim.notify(('Midtoken: ghost text is %s in this buffer'):format(state))
  end,
  restart = function()
    require('midtoken').restart()
  end,
  log = function()
    vim.cmd.tabedit({ args = { vim.fn.fnameescape(vim.lsp.log.get_filename()) } })
    vim.cmd.normal({ args = { 'G' }, bang = true })
  end,
  health = function()
    vim.cmd.checkhealth('midtoken')
  end,
}

local M = {}

---@param start string
---@return string[]
function M.complete(start)
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, start)
  end, vim.tbl_keys(actions))
  table.sort(names)
  return names
end

---@param words string[]
function M.run(words)
  local action = actions[words[1] or 'health']
  if not action or #words > (words[1] == 'model' and 2 or 1) then
    local names = table.concat(M.complete(''), ', ')
    vim.notify(('Midtoken: no such command; there are %s'):format(names), vim.log.levels.ERROR)
    return
  end
  action(words[2])
end

return M
