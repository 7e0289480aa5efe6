-- ai_http_streaming.lua: connects a FreeSWITCH call to the W3 Voice Gateway, full duplex, over plain HTTP.
--
-- Copy this one file to the scripts folder of FreeSWITCH and call it from the dialplan:
--
--   <action application="lua" data="ai_http_streaming.lua"/>
--
-- It needs mod_lua (5.2 or later), mod_curl and mod_native_file, and a call in PCMU or PCMA. Three threads carry a call:
--
--   session  the call's own thread, in the dialplan. It plays one FIFO for the whole call, because every start of a
--            playback mutes 37 ms of the caller, and it never does HTTP, because a thread inside curl answers no BYE.
--   pump     reads the caller from the capture FIFO, a frame every 20 ms. That is its clock: for each frame it reads, it
--            writes one frame of speech or silence into the playback FIFO. It waits for nothing else.
--   http     sends the caller's audio and receives the agent's with the same request. It may wait as long as it has to.
--
-- The pump and the HTTP thread are this same file, started with `luarun`. The three share a small file in /dev/shm, the
-- exchange, which is described further down.

------------------------------------------------------------------------------------------------------------------------
-- Settings. A channel variable of the name on the right overrides the value on the left for one call.
------------------------------------------------------------------------------------------------------------------------

-- Where the gateway listens. Several addresses, separated by blanks, share the calls: each call picks one and moves on to
-- the next if it cannot create its session there. Where they are nodes of one gateway, it also moves on, as the same call,
-- when the one it talks to no longer answers.
local W3_GATEWAY_URL = "http://127.0.0.1:3105"             -- ai_gateway_url
local API_KEY = ""                                         -- ai_api_key; empty when the gateway has none
local TENANT_ID = ""                                       -- ai_tenant_id; empty: the tenant of the key
local STORE_ID = ""                                        -- ai_store_id
local AI_AGENT_REF = ""                                    -- ai_agent_ref; empty: the gateway's default agent

-- Where a call goes when the AI cannot take it or is lost. Empty: the caller hears FALLBACK_PROMPT and is hung up.
local FALLBACK_EXTENSION = ""                              -- ai_fallback_extension
local FALLBACK_PROMPT = "ivr/ivr-call_cannot_be_completed_as_dialed.wav" -- ai_fallback_prompt

-- Lua pattern of the extensions the AI may transfer to; digits only, whatever it says. This is the switch's own word on
-- the matter: what a caller talked the agent into does not get past it.
local TRANSFER_ALLOW = "^%d%d%d%d?$"                       -- ai_transfer_allow
local TRANSFER_CONTEXT = ""                                -- ai_transfer_context; empty: the call's own

-- Milliseconds of audio in one request. 100 is quickest. mod_curl opens a connection for every request, so use 200 past
-- 50 calls on one switch: it halves the connections for 100 ms of delay.
local CHUNK_MS = 100                                       -- ai_chunk_ms, 20 to 1000

-- A folder in memory that FreeSWITCH can write to; no blanks in its name.
local RUN_DIR = "/dev/shm"                                 -- ai_run_dir

------------------------------------------------------------------------------------------------------------------------
-- Limits. Change them only if you know why.
------------------------------------------------------------------------------------------------------------------------

local FRAME_MS = 20
local FRAME_BYTES = 160           -- of G.711, towards the caller
local BYTES_PER_MS = 8
local CAPTURE_FRAME_BYTES = 320   -- of signed 16-bit samples, from the caller
local CAPTURE_BYTES_PER_MS = 16
local LEAD_FRAMES = 4             -- how far the pump writes ahead of the playback; also what is left to hear of speech
                                  -- that was interrupted
local AHEAD_MS = 3000             -- speech to keep at hand; an answer that full has 32,000 bytes, and mod_curl
                                  -- cuts answers at 64,000
local MAX_CHUNK_MS = 1000         -- longest piece to send when requests take longer than the audio they carry
local BACKLOG_MS = 2000           -- audio not yet sent that is older than this is dropped
local RETRY_CHUNK_MS = 1000       -- a chunk older than this is not sent again
local RETRY_PAUSE_MS = 50
local REQUEST_TIMEOUT_S = 2       -- mod_curl knows whole seconds only
local GIVE_UP_MS = 3000           -- without a good answer for this long, the call goes to the fallback
local GIVE_UP_NODES_MS = 5000     -- the same with several addresses: another node needs up to 3 s to take the call over
local CREATE_ATTEMPTS = 3
local CREATE_TIMEOUT_S = 8        -- a session is created when the AI is ready, which takes it a moment
local CREATE_GIVE_UP_MS = 10000   -- no attempt is started later than this
local MAX_BAD_CHUNKS = 20         -- chunks refused in a row until the call is given up
local STALL_MS = 200              -- without a captured frame for this long, the playback may have run dry
local HTTP_SILENT_MS = 20000      -- a sign of life of the HTTP thread is expected that often
local START_MS = 3000             -- both threads must be ready by then
local END_WAIT_MS = 2000          -- how long a transfer waits for the gateway to hear of it

------------------------------------------------------------------------------------------------------------------------
-- Small tools
------------------------------------------------------------------------------------------------------------------------

local api = freeswitch.API()

-- Every line names the call. No line has a key, a caller's number or what was said.
local function logger(call_id, role)
  return function(level, text, ...)
    if select("#", ...) > 0 then text = string.format(text, ...) end
    freeswitch.consoleLog(level, "[ai " .. call_id .. " " .. role .. "] " .. text .. "\n")
  end
end

-- Wall clock in milliseconds. It moves in steps of up to 20 ms.
local function now_ms()
  return tonumber(api:getTime()) or os.time() * 1000
end

local function json_string(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    return string.format("\\u%04x", c:byte())
  end) .. '"'
end

-- Decodes JSON text to a table, or nil. The extra parentheses matter: for bad text `decode` returns no value at all,
-- which is an error where an argument is expected.
local function json_decoder()
  local json = freeswitch.JSON()
  return function(text)
    if type(text) ~= "string" or text == "" then return nil end
    local value = (json:decode(text))
    return type(value) == "table" and value or nil
  end
end

-- FreeSWITCH records 16-bit samples; writing `.PCMU` itself, it would write the same samples and half of them only. They
-- were G.711 before FreeSWITCH decoded them, so encoding them again loses nothing, and the table below, filled as samples
-- come up, has 256 entries as a rule.
local function encode_pcmu(sample)
  local sign = sample < 0 and 0 or 128
  local magnitude = math.min(sample < 0 and -sample - 1 or sample, 32635) + 132
  local exponent = 7
  while exponent > 0 and magnitude < 2 ^ (exponent + 7) do exponent = exponent - 1 end
  local mantissa = math.floor(magnitude / 2 ^ (exponent + 3)) % 16
  return sign + 127 - (exponent * 16 + mantissa)
end

local function encode_pcma(sample)
  local sign = sample < 0 and 0 or 128
  local magnitude = sample < 0 and -sample - 1 or sample
  local code = math.floor(magnitude / 16)
  if magnitude >= 256 then
    local segment = 1
    while segment < 7 and magnitude >= 2 ^ (segment + 8) do segment = segment + 1 end
    code = segment * 16 + math.floor(magnitude / 2 ^ (segment + 3)) % 16
  end
  -- Every second bit is inverted: bits 0, 2, 4 and 6.
  local inverted = 0
  for _, bit in ipairs({ 1, 4, 16, 64 }) do
    inverted = inverted + (math.floor(code / bit) % 2 == 0 and bit or -bit)
  end
  return sign + code + inverted
end

local function g711_encoder(codec)
  local encode = codec == "PCMA" and encode_pcma or encode_pcmu
  local code_of = {}
  return function(samples)
    local out, n = {}, 0
    for i = 1, #samples, 2 do
      local low, high = samples:byte(i, i + 1)
      local word = high * 256 + low
      local code = code_of[word]
      if not code then
        code = string.char(encode(word < 32768 and word or word - 65536))
        code_of[word] = code
      end
      n = n + 1
      out[n] = code
    end
    return table.concat(out)
  end
end

-- Base64 by tables: 12 bits to two characters, made once a call.
local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64_encoder()
  local pairs_of = {}
  for high = 0, 63 do
    for low = 0, 63 do
      pairs_of[high * 64 + low] = BASE64:sub(high + 1, high + 1) .. BASE64:sub(low + 1, low + 1)
    end
  end
  return function(bytes)
    local out, n = {}, 0
    for i = 1, #bytes, 3 do
      local a, b, c = bytes:byte(i, i + 2)
      local bits = a * 65536 + (b or 0) * 256 + (c or 0)
      local low = bits % 4096
      out[n + 1] = pairs_of[(bits - low) / 4096]
      out[n + 2] = pairs_of[low]
      n = n + 2
    end
    local text = table.concat(out)
    local missing = -#bytes % 3
    return missing == 0 and text or text:sub(1, -missing - 1) .. ("="):rep(missing)
  end
end

-- Returns the bytes, or nil where the text is not base64.
local function base64_decoder()
  local value_of = {}
  for i = 1, 64 do value_of[BASE64:byte(i)] = i - 1 end
  value_of[("="):byte()] = 0
  local floor, char = math.floor, string.char
  return function(text)
    if #text % 4 ~= 0 or text:find("[^%w+/=]") or text:find("=[^=]") then return nil end
    local out, n = {}, 0
    for i = 1, #text, 4 do
      local a, b, c, d = text:byte(i, i + 3)
      local bits = value_of[a] * 262144 + value_of[b] * 4096 + value_of[c] * 64 + value_of[d]
      n = n + 1
      out[n] = char(floor(bits / 65536), floor(bits / 256) % 256, bits % 256)
    end
    local padding = #text:match("=*$")
    local bytes = table.concat(out)
    return padding == 0 and bytes or bytes:sub(1, -padding - 1)
  end
end

------------------------------------------------------------------------------------------------------------------------
-- The exchange: what the three threads of a call share
--
-- mod_lua gives every thread a Lua of its own, and Lua has no read that does not wait. A regular file never makes a
-- reader wait, so a file in memory does what a pipe cannot: the pump looks every 20 ms whether something is there. The
-- file has
--
--   cells   one short value each, written by one thread only, twice, so that a reader notices one half written;
--   texts   longer values, written once and before the cell that announces them;
--   rings   byte queues. The writer puts the bytes first and then the new total into its cell, so that a reader never
--           sees a total whose bytes are not there.
--
-- It has a fixed size, and its name is removed as soon as all three have it open.
------------------------------------------------------------------------------------------------------------------------

local CELL = {
  settings = 0,     -- session: length of the settings text
  stop = 1,         -- session: set when the call is over for the AI, with the reason
  keys = 2,         -- session: total of the keys ring
  pump = 3,         -- pump: "ready", then "done"
  up = 4,           -- pump: total of the up ring
  taken = 5,        -- pump: what it has read of the down ring
  played = 6,       -- pump: "generation milliseconds-heard milliseconds-queued"
  outcome = 7,      -- pump: length of the outcome text
  http = 8,         -- http: "ready", then "done"
  down = 9,         -- http: total of the down ring
  alive = 10,       -- http: time of its last sign of life
  fed = 11,         -- pump: total of the up ring when it last came back from the playback
}
local CELL_BYTES = 32

local TEXT = { settings = 1024, outcome = 6144 }
local RING = {
  keys = { cell = CELL.keys, offset = 7168, size = 1024 },
  up = { cell = CELL.up, offset = 8192, size = 131072 },
  down = { cell = CELL.down, offset = 139264, size = 131072 },
}

local Exchange = {}
Exchange.__index = Exchange

function Exchange.open(path)
  local file, problem = io.open(path, "r+b")
  if not file then return nil, problem end
  file:setvbuf("no")
  return setmetatable({ file = file }, Exchange)
end

function Exchange:close()
  if self.file then self.file:close() end
  self.file = nil
end

function Exchange:set(cell, value)
  -- A longer value would run into the next cell.
  local half = string.format("%-31s\n", (tostring(value):sub(1, CELL_BYTES - 1):gsub("%c", " ")))
  self.file:seek("set", cell * 2 * CELL_BYTES)
  self.file:write(half .. half)
end

-- The cell's text, or nil when it was never set.
function Exchange:get(cell)
  for _ = 1, 100 do
    self.file:seek("set", cell * 2 * CELL_BYTES)
    local both = self.file:read(2 * CELL_BYTES)
    if not both or #both < 2 * CELL_BYTES then return nil end
    local half = both:sub(1, CELL_BYTES)
    if half == both:sub(CELL_BYTES + 1) then return half:match("^(%C-) *\n$") end
  end
end

function Exchange:number(cell)
  return tonumber(self:get(cell)) or 0
end

function Exchange:set_text(name, text)
  self.file:seek("set", TEXT[name])
  self.file:write(text)
  self:set(CELL[name], #text)
end

-- The text, or nil when it was never set.
function Exchange:text(name)
  local length = tonumber(self:get(CELL[name]))
  if not length then return nil end
  self.file:seek("set", TEXT[name])
  return self.file:read(length) or ""
end

-- Appends to a ring. `total` is what was written to it before; returns the new total.
function Exchange:put(ring, total, bytes)
  local at = total % ring.size
  local first = bytes:sub(1, ring.size - at)
  self.file:seek("set", ring.offset + at)
  self.file:write(first)
  if #first < #bytes then
    self.file:seek("set", ring.offset)
    self.file:write(bytes:sub(#first + 1))
  end
  self:set(ring.cell, string.format("%d", total + #bytes))
  return total + #bytes
end

-- Reads `count` bytes of a ring from `position` on. The caller knows that they are there.
function Exchange:peek(ring, position, count)
  local at = position % ring.size
  local first = math.min(count, ring.size - at)
  self.file:seek("set", ring.offset + at)
  local bytes = self.file:read(first) or ""
  if first < count then
    self.file:seek("set", ring.offset)
    bytes = bytes .. (self.file:read(count - first) or "")
  end
  return bytes
end

-- Settings travel in the exchange, so that no argument list, and no log of one, has the key.
local function pack_settings(settings)
  local lines = {}
  for name, value in pairs(settings) do
    lines[#lines + 1] = name .. "=" .. tostring(value):gsub("%c", " ")
  end
  return table.concat(lines, "\n")
end

local function unpack_settings(text)
  local settings = {}
  for name, value in text:gmatch("([%w_]+)=(%C*)") do settings[name] = value end
  return settings
end

-- A call's files, in a folder of their own. Their extensions tell FreeSWITCH to write 16-bit samples into the one FIFO, and
-- to read the other as the call's own G.711, frame by frame.
local function files_of(folder, codec)
  return { folder = folder, exchange = folder .. "/x", capture = folder .. "/up.raw", playback = folder .. "/down." .. codec }
end

-- Lua removes a folder too, when it is empty.
local function remove_files(files)
  for _, path in ipairs({ files.exchange, files.capture, files.playback, files.folder }) do os.remove(path) end
end

-- Makes the folder and the files, or returns false. RUN_DIR is open to every user of the machine as a rule, and what is in
-- the files is for ours only, the key and the caller's number among it. So the folder is closed to others from the moment it
-- exists, has a name that nobody can know before, and one that exists already is not used.
local function make_files(files)
  local fine, how = os.execute("umask 077 && mkdir -m 700 " .. files.folder .. " && { mkfifo " .. files.capture .. " "
    .. files.playback .. " && : > " .. files.exchange .. " || ! rm -rf " .. files.folder .. "; }")
  -- Without an exit code, another thread of FreeSWITCH has taken the shell's, and the files show what came of it.
  return fine == true or fine == 0 or fine == -1 or (fine == nil and how ~= "exit" and how ~= "signal")
end

-- What the HTTP thread puts on the down ring for the pump: a header of 16 bytes, then the payload.
--   A  audio of a generation      G  a generation began, no audio yet      O  an outcome: how the call goes on
local HEADER_BYTES = 16

local function record(kind, generation, payload)
  return string.format("%s%07d%08d", kind, generation, #payload) .. payload
end

------------------------------------------------------------------------------------------------------------------------
-- The pump
------------------------------------------------------------------------------------------------------------------------

-- What is still to be played, in order, and what of it was heard.
local Speech = {}
Speech.__index = Speech

function Speech.new(silence)
  -- `sent` remembers which of the last LEAD_FRAMES frames were speech of this generation: they are on their way
  return setmetatable(
    { silence = silence, first = 1, last = 0, offset = 1, generation = 0, queued = 0, heard = 0, sent = {}, slot = 0 },
    Speech
  )
end

function Speech:push(item)
  self.last = self.last + 1
  self[self.last] = item
  if item.audio then self.queued = self.queued + #item.audio end
end

-- An interruption: what is queued of older generations is not spoken. Outcomes stay; they come next.
function Speech:start_generation(generation)
  if generation <= self.generation then return end
  self.generation = generation
  local kept = {}
  for i = self.first, self.last do
    if self[i].outcome then kept[#kept + 1] = self[i] end
    self[i] = nil
  end
  for i, item in ipairs(kept) do self[i] = item end
  self.first, self.last, self.offset, self.queued = 1, #kept, 1, 0
  self.heard, self.sent = 0, {}
end

-- The next frame: speech, or silence where there is none. The second value is an outcome whose turn has come.
function Speech:next_frame()
  local frame, outcome = "", nil
  while #frame < FRAME_BYTES and self.first <= self.last do
    local item = self[self.first]
    if item.outcome then
      -- Frames before it are played first; a frame that was begun is filled up with silence.
      if frame == "" then outcome = item.outcome end
      break
    end
    local piece = item.audio:sub(self.offset, self.offset + FRAME_BYTES - #frame - 1)
    frame = frame .. piece
    self.offset = self.offset + #piece
    if self.offset > #item.audio then
      self[self.first] = nil
      self.first, self.offset = self.first + 1, 1
    end
  end
  self.queued = self.queued - #frame
  local is_speech = frame ~= ""
  self.slot = self.slot % LEAD_FRAMES + 1
  if self.sent[self.slot] then self.heard = self.heard + 1 end
  self.sent[self.slot] = is_speech
  if #frame < FRAME_BYTES then frame = frame .. self.silence:sub(#frame + 1) end
  return frame, outcome
end

local function run_pump(folder)
  local exchange, problem = Exchange.open(files_of(folder, "").exchange)
  if not exchange then
    freeswitch.consoleLog("err", "[ai pump] " .. tostring(problem) .. "\n")
    return
  end
  local settings = unpack_settings(exchange:text("settings") or "")
  local log = logger(settings.call_id or "?", "pump")
  local files = files_of(folder, settings.codec)
  local silence = string.rep(settings.codec == "PCMA" and "\213" or "\255", FRAME_BYTES)
  local capture, playback

  local function run()
    -- Only an open for both directions does not wait for the other end, and it lets a second one for writing through. That
    -- one stays, and is the only one: when the call has left the playback, writing fails, where otherwise it would wait for
    -- ever once the FIFO is full. What was written stays in the FIFO for the next who opens it.
    local both = assert(io.open(files.playback, "r+b"))
    playback = assert(io.open(files.playback, "wb"))
    playback:setvbuf("no")
    for _ = 1, LEAD_FRAMES do playback:write(silence) end
    both:close()
    -- Does not wait either: the session thread holds it open for writing until the recording does.
    capture = assert(io.open(files.capture, "rb"))
    capture:setvbuf("no")
    exchange:set(CELL.pump, "ready")

    local speech = Speech.new(silence)
    local up_total, down_read, frames, reported = 0, 0, 0, ""

    local function finish(outcome)
      if not playback then return end
      exchange:set_text("outcome", outcome)
      -- What is still in the FIFO is played, then the playback ends and the session thread goes on.
      playback:close()
      playback = nil
    end

    local function receive()
      local total = exchange:number(CELL.down)
      while down_read < total do
        local kind, generation, length = exchange:peek(RING.down, down_read, HEADER_BYTES):match("^(%u)(%d+)$")
        if not kind then error("the down ring is damaged") end
        length = tonumber(generation:sub(8))
        generation = tonumber(generation:sub(1, 7))
        local payload = exchange:peek(RING.down, down_read + HEADER_BYTES, length)
        down_read = down_read + HEADER_BYTES + length
        if kind == "O" then
          speech:push({ outcome = payload })
        else
          speech:start_generation(generation)
          if kind == "A" then speech:push({ audio = payload }) end
        end
      end
      exchange:set(CELL.taken, string.format("%d", down_read))
    end

    local function report()
      local text = string.format("%d %d %d", speech.generation, speech.heard * FRAME_MS, math.floor(speech.queued / BYTES_PER_MS))
      if text ~= reported then exchange:set(CELL.played, text) end
      reported = text
    end

    while true do
      local frame = capture:read(CAPTURE_FRAME_BYTES)
      if not frame or #frame < CAPTURE_FRAME_BYTES then break end
      up_total = exchange:put(RING.up, up_total, frame)
      frames = frames + 1
      if exchange:number(CELL.down) > down_read then receive() end
      if playback then
        local bytes, outcome = speech:next_frame()
        -- Fails while nothing plays the FIFO, as between two playbacks. That frame is not missed.
        playback:write(bytes)
        report()
        if outcome then finish(outcome) end
      end
      exchange:set(CELL.fed, string.format("%d", up_total))
      if frames % 50 == 0 then
        local alive = tonumber(exchange:get(CELL.alive))
        if alive and now_ms() - alive > HTTP_SILENT_MS then finish("fallback the HTTP thread is silent") end
      end
      if frames == 25 then
        -- The recording and the HTTP thread have these open; a name less is a file less that a crash could leave behind.
        -- The playback's stays: after a uuid_break it is opened again.
        os.remove(files.capture)
        os.remove(files.exchange)
      end
    end
    log("debug", "done after %d frames", frames)
  end

  local fine, why = pcall(run)
  if not fine then log("err", "%s", why) end
  -- Closing the playback ends it, so the session thread goes on whatever happened here.
  if playback then playback:close() end
  if capture then capture:close() end
  exchange:set(CELL.pump, "done")
  exchange:close()
end

------------------------------------------------------------------------------------------------------------------------
-- The HTTP thread
------------------------------------------------------------------------------------------------------------------------

-- mod_curl splits its arguments at blanks, takes ' and \ as quoting, and decodes %XX in a body. Percent-encoding these,
-- and nothing else, brings a body through unharmed.
local function curl_body(text)
  return (text:gsub("[%c %%'\\]", function(c)
    return string.format("%%%02X", c:byte())
  end))
end

-- Makes `request(path, body, timeout_s)`: a POST that returns the HTTP status (0 when there was no answer) and the
-- answer as a table.
local function requester(url, settings)
  local decode = json_decoder()
  local options = " json content-type application/json"
  -- mod_curl does not look at certificates unless it is told to.
  if url:match("^https:") then options = options .. " secure" end
  if settings.api_key ~= "" then options = options .. " append_headers 'X-API-Key: " .. settings.api_key .. "'" end
  if settings.tenant_id ~= "" then options = options .. " append_headers 'X-Tenant-ID: " .. settings.tenant_id .. "'" end
  return function(path, body, timeout_s)
    local limits = string.format(" connect-timeout %d timeout %d post ", math.min(timeout_s, 2), timeout_s)
    local output = api:execute("curl", url .. path .. options .. limits .. curl_body(body))
    local envelope = decode(output)
    if not envelope then error("curl says " .. json_string(tostring(output):sub(1, 80)) .. "; is mod_curl loaded?", 0) end
    local answer = decode(envelope.body)
    local status = tonumber(envelope.status_code) or 0
    -- A body that broke off is no answer, whatever its status.
    if envelope.exit_code ~= "0" or (status == 200 and not answer) then status = 0 end
    return status, answer or {}, envelope.exit_code
  end
end

-- What curl's exit codes mean for an operator.
local CURL_SAYS = {
  ["6"] = "its name cannot be resolved",
  ["7"] = "nobody listens there",
  ["23"] = "the answer is longer than max-bytes of curl.conf",
  ["28"] = "it took too long",
  ["35"] = "no TLS connection",
  ["52"] = "the connection was closed",
  ["56"] = "the connection broke",
  ["60"] = "its certificate is not trusted",
}

-- With these, the gateway has seen nothing of the request.
local NOT_CONNECTED = { ["6"] = true, ["7"] = true, ["35"] = true, ["60"] = true }

local function describe(status, answer, exit_code)
  if status == 0 then
    return "no answer: " .. (CURL_SAYS[exit_code] or "see curl") .. " (curl exit code " .. tostring(exit_code) .. ")"
  end
  return status .. (answer.error and " " .. tostring(answer.error):gsub("%c", " "):sub(1, 200) or "")
end

local Http = {}
Http.__index = Http

function Http.new(folder, exchange)
  local settings = unpack_settings(exchange:text("settings") or "")
  return setmetatable({
    exchange = exchange,
    settings = settings,
    files = files_of(folder, settings.codec),
    log = logger(settings.call_id or "?", "http"),
    to_g711 = g711_encoder(settings.codec),
    encode = base64_encoder(),
    decode = base64_decoder(),
    up_read = 0,                -- position in the caller's audio
    down_total = 0,
    keys_read = 0,
    seq = 0,                    -- number of the next chunk
    ack = -1,                   -- seq of the last entry that arrived
    generation = 0,
    done_actions = {},
    decided = nil,              -- the outcome, once there is one
    known = false,              -- the gateway may have a session of ours
    stalled_ms = 0,
    rescues = 0,
    captured = 0,               -- total of the up ring when it was last looked at
    count = { chunks = 0, retries = 0, lost_ms = 0, dropped_ms = 0, rescues = 0 },
  }, Http)
end

-- Over for the AI: the session thread says so, or the call is gone and it could not.
function Http:is_over()
  if self.exchange:get(CELL.stop) then return true end
  return self.gone == true
end

-- One step of waiting. Looks after the call meanwhile, and at how much was captured.
function Http:wait(ms)
  freeswitch.msleep(ms)
  local captured = self.exchange:number(CELL.up)
  if captured ~= self.captured then
    self.captured, self.stalled_ms, self.rescues = captured, 0, 0
    return
  end
  self.stalled_ms = self.stalled_ms + ms
  if self.stalled_ms < STALL_MS then return end
  self.stalled_ms = 0
  self.exchange:set(CELL.alive, now_ms())
  if api:execute("uuid_exists", self.settings.uuid) ~= "true" then
    self.gone = true
  elseif captured > 0 and self.exchange:get(CELL.pump) == "ready" then
    self:rescue()
  end
end

-- A playback that ran dry holds the session thread in a read, which stops the recording, which stops the pump, which
-- would have fed the playback. Some silence from outside sets them going again. While the caller has the call on hold,
-- FreeSWITCH records nothing at all: then one byte at a time lets the session thread look around, so that it notices a
-- hang-up, and does not pile up where the playback is not being read. Opening the FIFO also frees a session thread that
-- came to play it just when the pump had closed it.
function Http:rescue()
  -- The pump waits for the playback, not for the recording: something else is being played into the call.
  if self.exchange:number(CELL.fed) < self.captured then return end
  local playback = io.open(self.files.playback, "r+b")
  if not playback then return end
  playback:setvbuf("no")
  local silence = self.settings.codec == "PCMA" and "\213" or "\255"
  playback:write(self.rescues == 0 and silence:rep(FRAME_BYTES * LEAD_FRAMES) or silence)
  playback:close()
  self.rescues = self.rescues + 1
  self.count.rescues = self.count.rescues + 1
end

function Http:hand_down(kind, payload)
  local bytes = record(kind, self.generation, payload)
  -- The pump reads every 20 ms. If it does not, the call has stopped, and so may we.
  local waited = 0
  while self.down_total + #bytes - self.exchange:number(CELL.taken) > RING.down.size do
    if waited >= 2000 or self:is_over() then return end
    self:wait(20)
    waited = waited + 20
  end
  self.down_total = self.exchange:put(RING.down, self.down_total, bytes)
end

-- How the call goes on once everything before it was played: "transfer 200", "hangup", "fallback why". The first counts.
function Http:decide(outcome)
  if self.decided then return end
  self.decided = outcome
  self.log("info", "outcome: %s", outcome)
  self:hand_down("O", outcome)
end

function Http:create()
  local s = self.settings
  local fields = {
    '"callId":' .. json_string(s.call_id),
    '"encoding":' .. json_string(s.codec:lower()),
    '"sampleRate":8000',
  }
  local function field(name, value)
    if value and value ~= "" then fields[#fields + 1] = '"' .. name .. '":' .. json_string(value) end
  end
  field("tenantId", s.tenant_id)
  field("storeId", s.store_id)
  field("aiAgentRef", s.agent_ref)
  field("did", s.did)
  field("callerNumber", s.caller)
  local body = "{" .. table.concat(fields, ",") .. "}"

  local urls = {}
  for url in s.urls:gmatch("%S+") do urls[#urls + 1] = (url:gsub("/+$", "")) end
  -- Spreads calls over the addresses.
  local start = 0
  for i = 1, #s.call_id do start = start + s.call_id:byte(i) end
  local began, why = now_ms(), "not tried"
  self.urls, self.url_at = urls, start
  for attempt = 1, CREATE_ATTEMPTS do
    self:next_address()
    self.exchange:set(CELL.alive, now_ms())
    local status, answer, exit_code = self.request("/api/voice/session/create", body, CREATE_TIMEOUT_S)
    -- Without an answer the session may exist all the same.
    if status == 200 or (status == 0 and not NOT_CONNECTED[exit_code]) then self.known = true end
    if status == 200 then
      self.seq = tonumber(answer.nextChunkSeq) or 0
      self.log("info", "session %s", tostring(answer.status))
      return true
    end
    why = describe(status, answer, exit_code)
    self.log("warning", "create, attempt %d: %s", attempt, why)
    local is_final = status == 400 or status == 401 or status == 403 or status == 404
    if is_final or self:is_over() or now_ms() - began > CREATE_GIVE_UP_MS then break end
    if attempt < CREATE_ATTEMPTS then self:wait(300) end
  end
  self:decide("fallback no session: " .. why)
  return false
end

-- From here on requests go to the next of the addresses, which may be the same.
function Http:next_address()
  self.url_at = self.url_at + 1
  self.request = requester(self.urls[self.url_at % #self.urls + 1], self.settings)
end

-- Waits until a chunk is full and returns it as G.711; nil when the call is over.
function Http:next_chunk()
  local wanted = self.settings.chunk_ms * CAPTURE_BYTES_PER_MS
  self.captured = self.exchange:number(CELL.up)
  while self.captured - self.up_read < wanted do
    if self:is_over() or self.exchange:get(CELL.pump) == "done" then return nil end
    -- Not much longer than the chunk needs, and not so long that a hang-up would be noticed late.
    local missing_ms = (wanted - self.captured + self.up_read) / CAPTURE_BYTES_PER_MS
    self:wait(math.floor(math.max(10, math.min(50, missing_ms - 10))))
  end
  local total = self.captured
  local late = total - self.up_read - BACKLOG_MS * CAPTURE_BYTES_PER_MS
  if late > 0 then
    late = math.ceil(late / CAPTURE_FRAME_BYTES) * CAPTURE_FRAME_BYTES
    self.up_read = self.up_read + late
    self.count.dropped_ms = self.count.dropped_ms + late / CAPTURE_BYTES_PER_MS
  end
  local length = math.min(total - self.up_read, MAX_CHUNK_MS * CAPTURE_BYTES_PER_MS)
  local samples = self.exchange:peek(RING.up, self.up_read, length)
  self.up_read = self.up_read + length
  return self.to_g711(samples)
end

-- Digits pressed since the last chunk, or nil.
function Http:next_keys()
  local count = math.min(self.exchange:number(CELL.keys) - self.keys_read, 64)
  if count <= 0 then return nil end
  local keys = self.exchange:peek(RING.keys, self.keys_read, count)
  self.keys_read = self.keys_read + count
  return keys
end

-- The query of a chunk: what arrived, what was heard, how much more is wanted.
function Http:query()
  local generation, heard, queued = (self.exchange:get(CELL.played) or "0 0 0"):match("^(%d+) (%d+) (%d+)$")
  local room = math.max(60, AHEAD_MS - (tonumber(queued) or 0))
  local query = string.format("?poll=1&ack=%d&maxMs=%d", self.ack, room)
  if heard then query = query .. "&generation=" .. generation .. "&playedMs=" .. heard end
  return query
end

function Http:take_answer(answer)
  local generation = tonumber(answer.generation) or self.generation
  local is_new = generation > self.generation
  if is_new then self.generation = generation end
  local bytes = answer.audio and self.decode(answer.audio)
  if answer.audio and not bytes then self.log("warning", "the audio of an answer is not base64") end
  if bytes then
    self:hand_down("A", bytes)
  elseif is_new then
    self:hand_down("G", "")
  end
  self.ack = tonumber(answer.seq) or self.ack
  for _, action in ipairs(answer.actions or {}) do
    if action.id and not self.done_actions[action.id] then
      self.done_actions[action.id] = true
      if action.type == "transfer" then
        self:decide("transfer " .. tostring(action.extension))
      elseif action.type == "hangup" then
        self:decide("hangup the agent ended the call")
      end
    end
  end
  if answer.hasMore == false then
    local reason = tostring(answer.endReason or "completed")
    -- The AI went away; the caller is still there.
    local is_failure = reason == "upstream_failed" or reason == "shutdown"
    self:decide((is_failure and "fallback the session ended: " or "hangup ") .. reason)
    self.ended = true
  end
end

-- Sends one chunk until it arrived, is too old, or the call is given up.
function Http:send(bytes)
  local keys = self:next_keys()
  local fields = { '"audio":"' .. self.encode(bytes) .. '"', string.format('"chunkSeq":%d', self.seq) }
  if keys then fields[#fields + 1] = '"dtmf":"' .. keys .. '"' end
  local body = "{" .. table.concat(fields, ",") .. "}"
  local path = "/api/voice/stream/" .. self.settings.call_id
  local chunk_end = self.up_read
  -- A chunk that never got further than a 503 has not used up its number; after any other failure it may have.
  local number_used = false
  self.count.chunks = self.count.chunks + 1
  while true do
    local asked = now_ms()
    self.exchange:set(CELL.alive, asked)
    local status, answer, exit_code = self.request(path .. self:query(), body, REQUEST_TIMEOUT_S)
    if status == 200 then
      self.bad_chunks, self.failing_since = 0, nil
      self.seq = self.seq + 1
      self:take_answer(answer)
      return
    end
    local why = describe(status, answer, exit_code)
    -- An address that took over from a silent one may be another gateway, which never knew the call.
    local is_stranger = status == 404 and self.failing_since ~= nil and #self.urls > 1
    if status == 404 and not is_stranger then
      self.known = false
      self:decide("fallback the gateway does not know the call")
      self.ended = true
      return
    elseif status == 401 or status == 403 or status == 409 then
      self:decide("fallback " .. why)
      self.ended = true
      return
    elseif status == 400 or status == 413 or status == 415 then
      self.seq = self.seq + 1
      self.bad_chunks = (self.bad_chunks or 0) + 1
      self.count.lost_ms = self.count.lost_ms + #bytes / BYTES_PER_MS
      self.log("warning", "chunk refused: %s", why)
      if self.bad_chunks >= MAX_BAD_CHUNKS then self:decide("fallback chunks are refused: " .. why) end
      return
    end
    if status ~= 503 and not NOT_CONNECTED[exit_code] then number_used = true end
    if not self.failing_since then self.log("warning", "chunk %d: %s", self.seq, why) end
    self.failing_since = self.failing_since or asked
    if now_ms() - self.failing_since > (#self.urls > 1 and GIVE_UP_NODES_MS or GIVE_UP_MS) then
      self:decide("fallback the gateway does not answer: " .. why)
      self.ended = true
      return
    end
    -- Another node of the gateway knows the call, or takes it over.
    if status == 0 or is_stranger or answer.code == "node_unreachable" then self:next_address() end
    self:wait(RETRY_PAUSE_MS)
    if self:is_over() then return end
    -- The caller's audio is the clock of its own age.
    if (self.exchange:number(CELL.up) - chunk_end) / CAPTURE_BYTES_PER_MS > RETRY_CHUNK_MS then
      if number_used then
        self.seq = self.seq + 1
      elseif keys then
        -- Audio grows old, a digit does not.
        self.keys_read = self.keys_read - #keys
      end
      self.count.lost_ms = self.count.lost_ms + #bytes / BYTES_PER_MS
      return
    end
    self.count.retries = self.count.retries + 1
  end
end

function Http:converse()
  if not self:create() then return end
  -- Until the session thread has carried out what was decided, the agent still listens.
  while not self.ended do
    local bytes = self:next_chunk()
    if not bytes then return end
    self:send(bytes)
  end
end

-- Tells the gateway that the call is over. Ending twice does no harm.
function Http:end_session()
  if not self.known then return end
  for attempt = 1, 3 do
    local path = "/api/voice/session/" .. self.settings.call_id .. "/end"
    local status, answer, exit_code = self.request(path, "{}", REQUEST_TIMEOUT_S)
    if status == 200 or status == 404 then return end
    self.log("warning", "end, attempt %d: %s", attempt, describe(status, answer, exit_code))
    freeswitch.msleep(300)
  end
end

local function run_http(folder)
  local exchange, problem = Exchange.open(files_of(folder, "").exchange)
  if not exchange then
    freeswitch.consoleLog("err", "[ai http] " .. tostring(problem) .. "\n")
    return
  end
  local http = Http.new(folder, exchange)
  exchange:set(CELL.alive, now_ms())
  exchange:set(CELL.http, "ready")
  local fine, why = pcall(http.converse, http)
  if not fine then
    http.log("err", "%s", why)
    pcall(http.decide, http, "fallback the script failed: " .. tostring(why):sub(1, 300))
  end
  -- The session is ended only when the call has left: until then the last words may still be playing.
  while not http:is_over() and exchange:get(CELL.pump) ~= "done" do http:wait(20) end
  fine, why = pcall(http.end_session, http)
  if not fine then http.log("err", "%s", why) end
  -- The session thread removes these as well. Here they go if it could not.
  remove_files(http.files)
  local count = http.count
  http.log("info", "done: %d chunks, %d retries, %d ms lost, %d ms dropped, %d rescues, %d interruptions",
    count.chunks, count.retries, count.lost_ms, count.dropped_ms, count.rescues, http.generation)
  exchange:set(CELL.http, "done")
  exchange:close()
end

------------------------------------------------------------------------------------------------------------------------
-- The session thread
------------------------------------------------------------------------------------------------------------------------

-- A channel variable, or the setting of the script. `allowed` is a pattern of the whole value.
local function setting(name, default, allowed)
  local value = session:getVariable(name)
  if value == nil or value == "" then value = default end
  value = tostring(value)
  if not value:match(allowed) then error(name .. " has a value that cannot be used", 0) end
  return value
end

local function read_settings(uuid)
  local codec = tostring(session:getVariable("read_codec")):upper()
  local rate = tonumber(session:getVariable("read_rate"))
  if (codec ~= "PCMU" and codec ~= "PCMA") or (rate or 8000) ~= 8000 then
    error("the call is in " .. codec .. " at " .. tostring(rate) .. " Hz, but only PCMU and PCMA at 8000 Hz are carried: "
      .. "set absolute_codec_string=PCMU,PCMA in the dialplan before the call is answered, and inbound-late-negotiation=true "
      .. "in the SIP profile, without which the codec is settled before the dialplan begins", 0)
  end
  local chunk_ms = tonumber(setting("ai_chunk_ms", CHUNK_MS, "^%d+$"))
  local settings = {
    uuid = uuid,
    -- What the gateway takes as a callId; a UUID passes as it is.
    call_id = (uuid:gsub("[^%w._-]", "-"):gsub("^[^%w]", "c"):sub(1, 128)),
    codec = codec,
    urls = setting("ai_gateway_url", W3_GATEWAY_URL, "^https?://[^'\\%c]+$"),
    api_key = setting("ai_api_key", API_KEY, "^[^%s%c'\\]*$"),
    tenant_id = setting("ai_tenant_id", TENANT_ID, "^[%w._-]*$"),
    store_id = setting("ai_store_id", STORE_ID, "^%C*$"),
    agent_ref = setting("ai_agent_ref", AI_AGENT_REF, "^[%w._-]*$"),
    did = tostring(session:getVariable("destination_number") or ""):sub(1, 64),
    caller = tostring(session:getVariable("caller_id_number") or ""):sub(1, 64),
    chunk_ms = math.max(FRAME_MS, math.min(MAX_CHUNK_MS, chunk_ms - chunk_ms % FRAME_MS)),
  }
  return settings
end

-- Everything that exists for the length of one call.
local function open_call(uuid, settings)
  local run_dir = setting("ai_run_dir", RUN_DIR, "^[%w./_-]+$")
  local name = tostring(api:execute("create_uuid")):match("^[%x-]+")
  if not name then error("create_uuid gives no name for the call's folder", 0) end
  local files = files_of(run_dir .. "/w3-ai-" .. name, settings.codec)
  local exchange, problem
  if make_files(files) then exchange, problem = Exchange.open(files.exchange) end
  if not exchange then
    error("cannot use " .. run_dir .. ": " .. tostring(problem or "no folder can be made in it"), 0)
  end
  exchange:set_text("settings", pack_settings(settings))
  return { uuid = uuid, files = files, exchange = exchange, keys_total = 0 }
end

-- Global, because FreeSWITCH finds callbacks by name. Both run on the session thread.
function w3_ai_on_input(_, kind, event)
  if kind == "dtmf" and w3_ai_call and tostring(event.digit):match("^[%dA-Da-d*#]$") then
    w3_ai_call.keys_total = w3_ai_call.exchange:put(RING.keys, w3_ai_call.keys_total, event.digit)
  end
  return ""
end

function w3_ai_on_hangup(_, what)
  if w3_ai_call then w3_ai_call.exchange:set(CELL.stop, what or "hangup") end
end

-- Waits on the session thread, where the caller's media are read meanwhile. False when the time is up.
local function wait_for(ms, is_true)
  local waited = 0
  while not is_true() do
    if waited >= ms or not session:ready() then return false end
    session:sleep(20)
    waited = waited + 20
  end
  return true
end

-- Starts both threads and the recording.
local function start(call)
  local script = argv and argv[0] or "ai_http_streaming.lua"
  -- Held open for writing, so that neither the pump's open nor the recording's waits for the other. A thread that waits in
  -- an open could not even be hung up.
  call.hold = assert(io.open(call.files.capture, "r+b"))
  for _, role in ipairs({ "pump", "http" }) do
    local said = api:execute("luarun", script .. " " .. role .. " " .. call.files.folder)
    if not tostring(said):match("^%+OK") then error("luarun says " .. tostring(said), 0) end
  end
  local exchange = call.exchange
  local are_ready = wait_for(START_MS, function()
    return exchange:get(CELL.pump) == "ready" and exchange:get(CELL.http)
  end)
  if not session:ready() then return false end
  if not are_ready then error("the threads of the call did not start; the log above says why", 0) end
  -- Without these, the recording is held back for seconds.
  session:execute("record_session", call.files.capture
    .. " {enable_file_write_buffering=false,RECORD_READ_ONLY=true,RECORD_STEREO=false,record_sample_rate=8000,RECORD_PRE_BUFFER_FRAMES=0}")
  -- The recording has it open now, and it alone must: its end is the end of the file.
  call.hold:close()
  call.hold = nil
  return true
end

-- Plays what the pump writes until the pump ends it or the call is over. Returns the outcome, or nil after a hang-up.
local function play(call)
  for _ = 1, 100 do
    session:streamFile(call.files.playback)
    if not session:ready() then return nil end
    local outcome = call.exchange:text("outcome")
    if outcome then return outcome end
    if call.exchange:get(CELL.pump) == "done" then return "fallback the audio of the call ended" end
    -- A uuid_break meant for something else; play on.
  end
  return "fallback the playback does not start"
end

-- Leaves nothing behind. Safe to call at any time, and more than once.
local function close_call(call, why)
  call.exchange:set(CELL.stop, why)
  if call.hold then call.hold:close() end
  call.hold = nil
  api:execute("uuid_record", call.uuid .. " stop " .. call.files.capture)
  remove_files(call.files)
end

local function fall_back(log, why)
  if not session:ready() then return end
  session:setVariable("ai_result", "fallback")
  session:setVariable("ai_fallback_reason", why)
  local extension = session:getVariable("ai_fallback_extension")
  if extension == nil or extension == "" then extension = FALLBACK_EXTENSION end
  if extension ~= "" and extension:match("^[%w*#+._-]+$") then
    log("err", "fallback to %s: %s", extension, why)
    session:transfer(extension, "XML", session:getVariable("context"))
    return
  end
  log("err", "no fallback extension, prompt and hang-up: %s", why)
  session:streamFile(session:getVariable("ai_fallback_prompt") or FALLBACK_PROMPT)
  session:hangup("NORMAL_TEMPORARY_FAILURE")
end

-- Whether the AI may send the call there. Digits only, so that no dial string gets through.
local function may_transfer_to(extension)
  if not extension:match("^%d+$") or #extension > 32 then return false end
  local pattern = session:getVariable("ai_transfer_allow") or TRANSFER_ALLOW
  local fine, found = pcall(string.match, extension, pattern)
  return fine and found ~= nil
end

local function carry_out(log, outcome)
  local kind, rest = outcome:match("^(%w+) ?(.*)$")
  if kind == "transfer" then
    if not may_transfer_to(rest) then
      fall_back(log, "the AI asked for a transfer to " .. json_string(rest) .. ", which is not allowed here")
      return
    end
    local context = session:getVariable("ai_transfer_context") or TRANSFER_CONTEXT
    if context == "" then context = session:getVariable("context") end
    log("info", "transfer to %s", rest)
    session:setVariable("ai_result", "transferred")
    session:transfer(rest, "XML", context)
  elseif kind == "hangup" then
    log("info", "hang-up: %s", rest)
    session:setVariable("ai_result", "completed")
    session:hangup("NORMAL_CLEARING")
  else
    fall_back(log, rest)
  end
end

local function run_session()
  local uuid = tostring(session:get_uuid())
  local log = logger(uuid, "session")
  local call
  local function run()
    if not session:answered() then session:answer() end
    if not session:ready() then return nil end
    -- Left over from elsewhere in the dialplan, these would end or distort one long playback.
    for _, name in ipairs({ "playback_timeout_sec", "playback_timeout_sec_cumulative", "playback_delimiter", "timer_name" }) do
      if session:getVariable(name) then session:setVariable(name, "") end
    end
    call = open_call(uuid, read_settings(uuid))
    w3_ai_call = call
    session:setHangupHook("w3_ai_on_hangup")
    session:setInputCallback("w3_ai_on_input", "")
    if not start(call) then return nil end
    return play(call)
  end

  local fine, outcome = pcall(run)
  if not fine then outcome = "fallback " .. tostring(outcome) end
  if call then close_call(call, outcome or "hangup") end
  if session:ready() then
    if call then
      session:unsetInputCallback()
      -- The gateway hears of the end before the call goes elsewhere; but a call whose gateway is lost waits for nothing.
      if not (outcome or ""):match("^fallback") then
        wait_for(END_WAIT_MS, function() return call.exchange:get(CELL.http) ~= "ready" end)
      end
    end
    if outcome then carry_out(log, outcome) end
  else
    if not fine then log("err", "%s", outcome) end
    log("info", "the call has gone: hung up, or sent elsewhere")
  end
  if call then call.exchange:close() end
end

------------------------------------------------------------------------------------------------------------------------
-- Entry: the dialplan has a session, the threads have arguments.
------------------------------------------------------------------------------------------------------------------------

local role, folder = argv and argv[1], argv and argv[2]
if role == "pump" then
  run_pump(folder)
elseif role == "http" then
  run_http(folder)
elseif session then
  run_session()
else
  freeswitch.consoleLog("err", "ai_http_streaming.lua is for the dialplan: <action application=\"lua\" data=\"ai_http_streaming.lua\"/>\n")
end
