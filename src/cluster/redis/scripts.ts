/**
 * The directory's changes, each one atomic. Times are Redis's own, so clocks of nodes do not matter. Keys, all below the
 * prefix `vg:`:
 *
 * - `since`: when the directory was last empty; `epoch`: the last epoch given
 * - `id:NODE`: which instance has this name; `node:INSTANCE`: its record, and by its time to live its lease;
 *   `nodes`: instances that live, or died with calls
 * - `call:TENANT/CALL`: a hash of `owner`, `epoch`, `state` (`open`, `over`), `released`, `snap`, `sum`
 * - `names:CALL`: tenants with this callId; `own:INSTANCE`, `tenant:TENANT`: calls that are open;
 *   `lost:INSTANCE`: calls that others took from it
 */
const COMMON = `
local P = 'vg:'
local function call(tenant, id) return P .. 'call:' .. tenant .. '/' .. id end
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function lease(instance)
  local left = redis.call('PTTL', P .. 'node:' .. instance)
  if left < 0 then return 0 end
  return left
end
local function record(instance) return redis.call('GET', P .. 'node:' .. instance) or '' end
local function nextEpoch() return redis.call('INCR', P .. 'epoch') end
local function age()
  local at = now()
  redis.call('SET', P .. 'since', at, 'NX')
  return at - tonumber(redis.call('GET', P .. 'since'))
end
local function epochOf(key) return tonumber(redis.call('HGET', key, 'epoch') or '-1') end
local function isOpen(key) return redis.call('HGET', key, 'state') == 'open' end
-- Calls that ran out while nobody looked are no longer in the way.
local function prune(set)
  for _, name in ipairs(redis.call('SMEMBERS', set)) do
    if not isOpen(P .. 'call:' .. name) then redis.call('SREM', set, name) end
  end
end
local function own(tenant, id, instance)
  local name = tenant .. '/' .. id
  redis.call('SADD', P .. 'own:' .. instance, name)
  redis.call('SADD', P .. 'tenant:' .. tenant, name)
  redis.call('SADD', P .. 'names:' .. id, tenant)
end
local function disown(tenant, id)
  local name = tenant .. '/' .. id
  local owner = redis.call('HGET', P .. 'call:' .. name, 'owner')
  if owner then redis.call('SREM', P .. 'own:' .. owner, name) end
  redis.call('SREM', P .. 'tenant:' .. tenant, name)
end
local function ownership(key)
  local h = redis.call('HMGET', key, 'epoch', 'owner', 'released')
  return { tonumber(h[1]), h[2], record(h[2]), lease(h[2]), h[3] and 1 or 0 }
end
`;

const script = (body: string) => COMMON + body;

/** ARGV: instance, node id, record, key print, lease. */
export const JOIN = script(`
local instance, id, json, print, ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local holder = redis.call('GET', P .. 'id:' .. id)
if holder and holder ~= instance then
  return { 'name_taken', record(holder), lease(holder) }
end
for _, other in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
  local text = record(other)
  if text ~= '' and cjson.decode(text).keyPrint ~= print then return { 'other_key', text, lease(other) } end
end
redis.call('SET', P .. 'id:' .. id, instance, 'PX', ms)
redis.call('SET', P .. 'node:' .. instance, json, 'PX', ms)
redis.call('SADD', P .. 'nodes', instance)
age()
return { 'joined', now() }
`);

/** ARGV: instance, node id, record, lease. */
export const RENEW = script(`
local instance, id, json, ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local holder = redis.call('GET', P .. 'id:' .. id)
local lost = redis.call('SMEMBERS', P .. 'lost:' .. instance)
redis.call('DEL', P .. 'lost:' .. instance)
if holder and holder ~= instance then return { 'replaced', lost } end
local lapsed = lease(instance) == 0 and 1 or 0
redis.call('SET', P .. 'id:' .. id, instance, 'PX', ms)
redis.call('SET', P .. 'node:' .. instance, json, 'PX', ms)
redis.call('SADD', P .. 'nodes', instance)
local members = {}
for _, other in ipairs(redis.call('SMEMBERS', P .. 'nodes')) do
  local left, count = lease(other), redis.call('SCARD', P .. 'own:' .. other)
  if left == 0 and count > 0 then
    prune(P .. 'own:' .. other)
    count = redis.call('SCARD', P .. 'own:' .. other)
  end
  if left == 0 and count == 0 then redis.call('SREM', P .. 'nodes', other)
  else members[#members + 1] = { other, record(other), left, count } end
end
return { 'renewed', lapsed, age(), members, lost }
`);

/** ARGV: instance, node id. */
export const LEAVE = script(`
local instance, id = ARGV[1], ARGV[2]
if redis.call('GET', P .. 'id:' .. id) == instance then redis.call('DEL', P .. 'id:' .. id) end
redis.call('DEL', P .. 'node:' .. instance)
if redis.call('SCARD', P .. 'own:' .. instance) == 0 then redis.call('SREM', P .. 'nodes', instance) end
`);

/** ARGV: tenant, call, instance, limit (0: none), kept. */
export const CLAIM = script(`
local tenant, id, instance, limit, kept = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local key = call(tenant, id)
if isOpen(key) then
  if redis.call('HGET', key, 'owner') == instance then return { 'claimed', epochOf(key) } end
  return { 'held', ownership(key) }
end
local calls = P .. 'tenant:' .. tenant
if limit > 0 and redis.call('SCARD', calls) >= limit then
  prune(calls)
  if redis.call('SCARD', calls) >= limit then return { 'tenant_full' } end
end
local epoch = nextEpoch()
redis.call('DEL', key)
redis.call('HSET', key, 'owner', instance, 'epoch', epoch, 'state', 'open')
redis.call('PEXPIRE', key, kept)
own(tenant, id, instance)
return { 'claimed', epoch }
`);

/** ARGV: tenant (empty: whichever), call. */
export const LOOKUP = script(`
local tenant, id = ARGV[1], ARGV[2]
if tenant == '' then
  local found = {}
  for _, one in ipairs(redis.call('SMEMBERS', P .. 'names:' .. id)) do
    if redis.call('EXISTS', call(one, id)) == 1 then found[#found + 1] = one
    else redis.call('SREM', P .. 'names:' .. id, one) end
  end
  if #found > 1 then return { 'ambiguous', #found } end
  tenant = found[1] or ''
end
local key = call(tenant, id)
if tenant == '' or redis.call('EXISTS', key) == 0 then return { 'unknown', age() } end
return { isOpen(key) and 'held' or 'over', ownership(key), tenant }
`);

/** ARGV: tenant, call, epoch, snapshot, kept, released. */
export const SAVE = script(`
local key = call(ARGV[1], ARGV[2])
if epochOf(key) ~= tonumber(ARGV[3]) or not isOpen(key) then return 0 end
redis.call('HSET', key, 'snap', ARGV[4], 'at', now())
if ARGV[6] == '1' then redis.call('HSET', key, 'released', 1) else redis.call('HDEL', key, 'released') end
redis.call('PEXPIRE', key, ARGV[5])
return 1
`);

/** ARGV: kept, then tenant, call, epoch of each. */
export const TOUCH = script(`
local outdone = {}
for i = 2, #ARGV, 3 do
  local key = call(ARGV[i], ARGV[i + 1])
  if epochOf(key) == tonumber(ARGV[i + 2]) then redis.call('PEXPIRE', key, ARGV[1])
  elseif redis.call('EXISTS', key) == 1 then outdone[#outdone + 1] = ARGV[i] .. '/' .. ARGV[i + 1] end
end
return outdone
`);

/** ARGV: tenant, call, epoch, instance, lease that still counts as dead. */
export const TAKE_OVER = script(`
local tenant, id, from, instance, dead = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local key = call(tenant, id)
if epochOf(key) ~= from or not isOpen(key) then return { 'outdone' } end
local h = redis.call('HMGET', key, 'owner', 'snap', 'released', 'at')
if h[1] == instance then return { 'outdone' } end
if not h[3] and lease(h[1]) > dead then return { 'alive' } end
disown(tenant, id)
local lost = P .. 'lost:' .. h[1]
redis.call('SADD', lost, tenant .. '/' .. id .. '/' .. from)
redis.call('PEXPIRE', lost, 86400000)
if not h[2] then
  redis.call('DEL', key)
  return { 'gone' }
end
local epoch = nextEpoch()
redis.call('HSET', key, 'owner', instance, 'epoch', epoch)
redis.call('HDEL', key, 'released')
own(tenant, id, instance)
return { 'taken', epoch, h[2], now() - tonumber(h[4] or now()) }
`);

/** ARGV: tenant, call, epoch, summary, kept. */
export const CONCLUDE = script(`
local tenant, id = ARGV[1], ARGV[2]
local key = call(tenant, id)
if epochOf(key) ~= tonumber(ARGV[3]) or not isOpen(key) then return 0 end
disown(tenant, id)
redis.call('HSET', key, 'state', 'over', 'sum', ARGV[4])
redis.call('HDEL', key, 'snap')
redis.call('PEXPIRE', key, ARGV[5])
return 1
`);

/** ARGV: tenant, call, epoch. */
export const WITHDRAW = script(`
local tenant, id = ARGV[1], ARGV[2]
local key = call(tenant, id)
if epochOf(key) ~= tonumber(ARGV[3]) or not isOpen(key) then return 0 end
disown(tenant, id)
redis.call('SREM', P .. 'names:' .. id, tenant)
redis.call('DEL', key)
return 1
`);

/** ARGV: tenant, call. */
export const SUMMARY = script(`
return redis.call('HGET', call(ARGV[1], ARGV[2]), 'sum')
`);

/** ARGV: tenant, call, epoch (0: none yet), instance, snapshot, kept. */
export const REGISTER = script(`
local tenant, id, epoch, instance = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key = call(tenant, id)
local last = tonumber(redis.call('GET', P .. 'epoch') or '0')
if epoch > last then redis.call('SET', P .. 'epoch', epoch) end
if isOpen(key) then
  local owner = redis.call('HGET', key, 'owner')
  local there = epochOf(key)
  if owner ~= instance then
    if there >= epoch then return 0 end
    disown(tenant, id)
    local lost = P .. 'lost:' .. owner
    redis.call('SADD', lost, tenant .. '/' .. id .. '/' .. there)
    redis.call('PEXPIRE', lost, 86400000)
  elseif there > epoch then epoch = there end
elseif epochOf(key) > epoch and epoch > 0 then return 0 end
if epoch == 0 then epoch = nextEpoch() end
redis.call('HSET', key, 'owner', instance, 'epoch', epoch, 'state', 'open', 'snap', ARGV[5], 'at', now())
redis.call('HDEL', key, 'sum', 'released')
redis.call('PEXPIRE', key, ARGV[6])
own(tenant, id, instance)
return epoch
`);

/** ARGV: instance. */
export const CALLS_OF = script(`
local set, found = P .. 'own:' .. ARGV[1], {}
prune(set)
for _, name in ipairs(redis.call('SMEMBERS', set)) do
  found[#found + 1] = name .. '/' .. epochOf(P .. 'call:' .. name)
end
return found
`);
