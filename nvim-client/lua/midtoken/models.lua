--- `:Midtoken model`: pick a model of this machine. If needed it is added first; then the server uses it.

local M = {}

local adding ---@type { client: vim.lsp.Client, id: integer }? the open request

---@param message string
---@param level? integer
local function tell(message, level)
  vim.notify('Midtoken: ' .. message, level or vim.log.levels.INFO)
end

---@return vim.lsp.Client?
local function server()
  local client = vim.lsp.get_clients({ bufnr = 0, name = 'midtoken' })[1]
    or vim.lsp.get_clients({ name = 'midtoken' })[1]
  if not client then
    tell('no server is running; see :checkhealth midtoken', vim.log.levels.WARN)
  end
  return client
end

---@param client vim.lsp.Client
---@param command string
---@param arguments string[]
---@param on_result fun(result: table)
---@return integer?
local function execute(client, command, arguments, on_result)
  local params = { command = 'midtoken.server.' .. command, arguments = arguments }
  local _, id = client:request('workspace/executeCommand', params, function(err, result)
    if err then
      tell(err.message, vim.log.levels.ERROR)
    elseif type(result) == 'table' then
      on_result(result)
    end
  end)
  return id
end

--- Make the server use a model. The old one serves until the new one is loaded.
---@param client vim.lsp.Client
---@param name string
local function use(client, name)
  local settings = vim.tbl_deep_extend('force', client.settings or {}, { midtoken = { model = name } })
  client.settings, client.config.settings = settings, settings
  client:notify('workspace/didChangeConfiguration', { settings = settings })
  tell(("uses %s in this session; to keep it: settings = { midtoken = { model = '%s' } }"):format(name, name))
end

---@param client vim.lsp.Client
---@param model string
local function add(client, model)
  if adding then
    return tell('a model is being added; :Midtoken cancel ends that', vim.log.levels.WARN)
  end
  tell(('adding %s; :Midtoken cancel ends it'):format(model))
  local id = execute(client, 'addModel', { model }, function(outcome)
    adding = nil
    if outcome.state == 'added' or outcome.state == 'unchanged' then
      use(client, outcome.name)
    elseif outcome.state == 'cancelled' then
      tell(('%s was not added'):format(model))
    else
      tell(tostring(outcome.problem), vim.log.levels.ERROR)
    end
  end)
  adding = id and { client = client, id = id } or nil
end

---@param value any
---@return string
local function known(value)
  return (value == nil or value == vim.NIL) and '' or tostring(value)
end

---@param value any
---@param scale [integer, string][] the largest first
---@return string
local function rounded(value, scale)
  for _, step in ipairs(type(value) == 'number' and value > 0 and scale or {}) do
    if value >= step[1] then
      return ('%.' .. (step[1] == scale[1][1] and 1 or 0) .. 'f %s'):format(value / step[1], step[2])
    end
  end
  return ''
end

---@param model table
---@param setting string
---@return string
local function line(model, setting)
  local states = { ready = 'ready', convertible = 'to be added', unusable = 'cannot be used: ' .. known(model.reason) }
  local parts = {
    model.name,
    model.source,
    rounded(model.parameters, { { 1e9, 'B parameters' }, { 1e6, 'M parameters' } }),
    known(model.quantization),
    rounded(model.bytes, { { 1e9, 'GB' }, { 1e6, 'MB' } }),
    model.fim == false and 'prefix only' or '',
    known(model.licence),
    states[model.state],
  }
  local text = table.concat(
    vim.tbl_filter(function(part)
      return part ~= ''
    end, parts),
    '  '
  )
  return (model.name == setting and '* ' or '  ') .. text
end

---@param client vim.lsp.Client
---@param found table
local function pick(client, found)
  if known(found.problem) ~= '' then
    return tell(found.problem, vim.log.levels.ERROR)
  end
  local setting = known(found.setting)
  vim.ui.select(found.models, {
    prompt = 'Midtoken: choose a model',
    format_item = function(model)
      return line(model, setting == '' and 'bundled' or setting)
    end,
  }, function(model)
    if not model then
      return
    elseif model.state == 'ready' then
      use(client, model.name)
    elseif model.state == 'convertible' then
      add(client, model.name)
    else
      tell(('%s cannot be used: %s'):format(model.name, known(model.reason)), vim.log.levels.ERROR)
    end
  end)
end

--- Pick one of the models of this machine, or use the named one.
---@param name? string
function M.choose(name)
  local client = server()
  if not client then
    return
  end
  execute(client, 'listModels', {}, function(found)
    if not name then
      return pick(client, found)
    end
    for _, model in ipairs(found.models) do
      if model.name == name and model.state == 'ready' then
        return use(client, name)
      end
    end
    add(client, name) -- the server says what is wrong with a name or path that it does not know
  end)
end

--- Stop adding a model. The unfinished one is deleted.
function M.cancel()
  if not adding then
    return tell('no model is being added')
  end
  adding.client:cancel_request(adding.id)
  adding = nil
  tell('no longer adds the model')
end

return M
