-- What FreeSWITCH gives a script, as far as a script may rely on it: `freeswitch`, `session`, `io`, `os`. Everything that
-- blocks on the switch blocks here. The `host_*` functions come from the thread this runs in; see lua-thread.ts.

-- Lua 5.2 has none of these.
utf8, warn = nil, nil
string.pack, string.unpack, string.packsize = nil, nil, nil
table.move = nil
math.tointeger, math.type, math.ult = nil, nil, nil
coroutine.close, coroutine.isyieldable = nil, nil
-- And the switch's Lua finds no modules.
require, package, dofile, loadfile = nil, nil, nil, nil

-- Nothing is looked up in vain: a method that the stand-in lacks is an error in the test, not a nil.
local function strict(name, methods)
  methods.__index = function(_, key)
    local method = methods[key]
    if method == nil then error("the stand-in for FreeSWITCH has no " .. name .. "." .. tostring(key), 2) end
    return method
  end
  return methods
end

------------------------------------------------------------------------------------------------------------------------
-- Files: unbuffered, as after setvbuf("no")
------------------------------------------------------------------------------------------------------------------------

local File = strict("file", {})

function File:setvbuf(mode)
  if mode ~= "no" then error("only unbuffered files are simulated") end
  self.is_unbuffered = true
  return true
end

function File:read(count)
  if not rawget(self, "is_unbuffered") then error("this read would be buffered") end
  return host_read(self.fd, count)
end

function File:write(...)
  if not rawget(self, "is_unbuffered") then error("this write would be buffered") end
  for _, text in ipairs({ ... }) do
    local fine, problem = host_write(self.fd, text)
    if not fine then return nil, problem end
  end
  return self
end

function File:seek(whence, offset)
  if whence ~= "set" then error("only seek('set', …) is simulated") end
  host_seek(self.fd, offset)
  return offset
end

function File:close()
  if self.fd < 0 then error("attempt to use a closed file") end
  host_close(self.fd)
  self.fd = -1
  return true
end

io = {
  open = function(path, mode)
    local fd, problem = host_open(path, mode or "r")
    if not fd then return nil, path .. ": " .. problem end
    return setmetatable({ fd = fd }, File)
  end,
}

os = {
  time = os.time,
  clock = os.clock,
  remove = function(path)
    local fine, problem = host_remove(path)
    if not fine then return nil, problem end
    return true
  end,
  execute = function(command)
    local code = host_shell(command)
    return code == 0 or nil, "exit", code
  end,
}

------------------------------------------------------------------------------------------------------------------------
-- freeswitch.JSON, with its ways: no value at all for bad text, {} for a scalar, nulls missing, strings cut at NUL,
-- arrays inside arrays dropped
------------------------------------------------------------------------------------------------------------------------

local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function utf8_of(code)
  local floor, char = math.floor, string.char
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64) end
  return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
end

local function parse(text)
  local at = 1
  local value

  local function skip() at = text:find("%S", at) or #text + 1 end

  local function string_value()
    local out = {}
    at = at + 1
    while true do
      local stop = text:find('["\\]', at) or error("no end of string")
      out[#out + 1] = text:sub(at, stop - 1)
      if text:sub(stop, stop) == '"' then
        at = stop + 1
        return (table.concat(out):match("^%Z*"))
      end
      local escape = text:sub(stop + 1, stop + 1)
      if escape == "u" then
        local code = tonumber(text:sub(stop + 2, stop + 5), 16)
        at = stop + 6
        if code >= 0xD800 and code < 0xDC00 then
          local low = tonumber(text:sub(at + 2, at + 5), 16)
          code = 0x10000 + (code - 0xD800) * 1024 + low - 0xDC00
          at = at + 6
        end
        out[#out + 1] = utf8_of(code)
      else
        out[#out + 1] = ESCAPES[escape] or escape
        at = stop + 2
      end
    end
  end

  local function members(close, is_array)
    local result, n = {}, 0
    at = at + 1
    skip()
    if text:sub(at, at) == close then at = at + 1 return result end
    while true do
      local key
      skip()
      if is_array then
        n = n + 1
        key = n
      else
        if text:sub(at, at) ~= '"' then error("a name is missing") end
        key = string_value()
        skip()
        if text:sub(at, at) ~= ":" then error("a colon is missing") end
        at = at + 1
      end
      local item, kind = value()
      if not (is_array and kind == "array") then result[key] = item end
      skip()
      local next_char = text:sub(at, at)
      at = at + 1
      if next_char == close then return result, is_array and "array" or "object" end
      if next_char ~= "," then error("a comma is missing") end
    end
  end

  value = function()
    skip()
    local char = text:sub(at, at)
    if char == "{" then return members("}", false) end
    if char == "[" then return members("]", true), "array" end
    if char == '"' then return string_value() end
    for word, meaning in pairs({ ["true"] = true, ["false"] = false }) do
      if text:sub(at, at + #word - 1) == word then at = at + #word return meaning end
    end
    if text:sub(at, at + 3) == "null" then at = at + 4 return nil end
    local number = text:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at) or error("no value")
    at = at + #number
    return tonumber(number)
  end

  local result = value()
  if type(result) ~= "table" then return {} end
  return result
end

local Json = strict("JSON", {})

function Json:decode(text)
  local fine, result = pcall(parse, text:match("^%Z*"))
  if fine then return result end
  return
end

------------------------------------------------------------------------------------------------------------------------
-- freeswitch
------------------------------------------------------------------------------------------------------------------------

local Api = strict("API", {})

function Api:execute(command, arguments)
  return host_api(command, arguments)
end

-- Steps of 20 ms, as the switch's clock.
function Api:getTime()
  return host_time()
end

freeswitch = setmetatable({}, strict("freeswitch", {
  API = function() return setmetatable({}, Api) end,
  JSON = function() return setmetatable({}, Json) end,
  consoleLog = function(level, text) host_log(level, text) end,
  msleep = function(ms) host_sleep(ms) end,
}))

------------------------------------------------------------------------------------------------------------------------
-- session: only the thread of the call has one
------------------------------------------------------------------------------------------------------------------------

local Session = strict("session", {})
local on_input, on_hangup

-- FreeSWITCH runs the hangup hook before and after every call that blocks.
local function hangup_hook()
  if on_hangup and host_is_hung_up() then
    local hook = on_hangup
    on_hangup = nil
    _G[hook](session, "hangup")
  end
end

-- One frame of media both ways; a digit that was pressed goes to the input callback.
local function media_step(playing)
  local digit = host_digit()
  if digit and on_input then _G[on_input](session, "dtmf", { digit = digit, duration = 2000 }) end
  return host_frame(playing)
end

function Session:get_uuid() return host_uuid() end
function Session:getVariable(name) return host_get_variable(name) end
function Session:setVariable(name, value) host_set_variable(name, value) end
function Session:answered() return host_answered() end
function Session:answer() host_answer() end

function Session:ready()
  local is_ready = host_ready()
  hangup_hook()
  return is_ready
end

function Session:sleep(ms)
  hangup_hook()
  for _ = 1, math.ceil(ms / 20) do
    if not host_ready() then break end
    media_step(false)
  end
  hangup_hook()
  return host_ready() and 1 or 0
end

function Session:streamFile(path)
  hangup_hook()
  local is_whole = host_play_open(path)
  while is_whole do
    if not host_ready() then is_whole = false break end
    local state = media_step(true)
    if state == "eof" then break end
    if state == "broken" then is_whole = false end
  end
  host_play_close()
  hangup_hook()
  return is_whole and 1 or 0
end

function Session:execute(application, data)
  hangup_hook()
  if application ~= "record_session" then error("only record_session is simulated") end
  host_record(data)
  hangup_hook()
end

function Session:setInputCallback(name) on_input = name end
function Session:unsetInputCallback() on_input = nil end
function Session:setHangupHook(name) on_hangup = name end

function Session:transfer(extension, dialplan, context)
  if host_ready() then host_transfer(extension, dialplan or "", context or "") end
end

function Session:hangup(cause)
  host_hangup(cause or "NORMAL_CLEARING")
  hangup_hook()
end

session = host_is_session and setmetatable({}, Session) or nil
