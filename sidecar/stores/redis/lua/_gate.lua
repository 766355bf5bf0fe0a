-- Put before every script: reads what is stored, checks its shape, repairs it if the clock went back, writes, replies.
--
-- KEYS[1]  pts:{<profile id>}:gate   the coordination document
-- KEYS[2]  pts:{<profile id>}:token  {fence, id, sealed}
-- ARGV[1]  JSON object of named arguments; each script's header lists its own
-- returns  JSON object {now_ms, outcome, left_ms, gate, token, damaged}
--
-- Instants are whole milliseconds of this server's TIME. A value that is no JSON, has another shape or another Redis
-- type, or is longer than any valid one, counts as missing and is named in `damaged`. Nothing is random here: a new
-- epoch comes with the arguments. The bounds are those of `documents.py`.
--
-- Facts are ordered by fences. The fence of a lease is even. A call that a replica made while this server was
-- unreachable has an odd one. A fact that can be superseded has `fence`, the highest fence when it was recorded.

local GATE_KEEP_MS = 7 * 24 * 3600 * 1000
local REMEMBERED_IDS = 4
local MOST_GRANTS = 1000
local MOST_KINDS = 32
local LONGEST_ID = 300
local LONGEST_DETAIL = 8192
local MAX_DOCUMENT_BYTES = 160 * 1024
local LONGEST_SPAN_MS = 24 * 3600 * 1000
local MOST_FAILURES = 1000000
local FENCE_AHEAD_MS = 5e13

local args = cjson.decode(ARGV[1])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local damaged = {}
local clock_went_back = false

-- Shapes. cjson prints 14 digits, so a larger number would be read back as another one; NaN fails every comparison.
local function whole(value)
  return type(value) == 'number' and value >= 0 and value < 1e14 and value == math.floor(value)
end

-- After a larger fence, the next fences would soon not be whole numbers any more.
local function fence(value)
  return whole(value) and value < now + FENCE_AHEAD_MS
end

local function seconds(value)
  return type(value) == 'number' and value >= 0 and value < 1e9
end

local function ascii(longest)
  return function(value)
    return type(value) == 'string' and #value <= longest and not value:find('[^ -\127]')
  end
end

local text = ascii(LONGEST_ID)
local anything = ascii(MAX_DOCUMENT_BYTES)

local function flag(value)
  return type(value) == 'boolean'
end

local function maybe(fits)
  return function(value) return value == nil or fits(value) end
end

local function each(key_fits, fits, most)
  return function(value)
    if type(value) ~= 'table' then return false end
    local count = 0
    for key, item in pairs(value) do
      count = count + 1
      if count > most or not (key_fits(key) and fits(item)) then return false end
    end
    return true
  end
end

-- An unknown field (of a later version) is dropped, so that it can never make `encode` fail.
local function object(fields)
  return function(value)
    if type(value) ~= 'table' then return false end
    for name in pairs(value) do
      if not fields[name] then value[name] = nil end
    end
    for name, fits in pairs(fields) do
      if not fits(value[name]) then return false end
    end
    return true
  end
end

local is_pause = object({
  kind = text, fence = fence, from_ms = whole, until_ms = whole, strikes = whole, detail = ascii(LONGEST_DETAIL),
})
local is_lease = object({nonce = text, fence = fence, from_ms = whole, until_ms = whole})
local is_count = object({count = whole, fence = fence})
local is_grant = object({fence = fence, at_ms = whole, on_demand = maybe(flag)})
local is_report = object({id = text, fence = fence, age_ms = whole})
local is_confirmation = object({id = text, fence = fence})
local is_lesson = object({fence = fence, learned_s = seconds, evidence_s = seconds})
local is_token = object({fence = fence, id = text, sealed = anything})
local is_gate = object({
  epoch = text, born_ms = whole, lost = flag, fence = fence, failed_nonce = text,
  lease = maybe(is_lease), pause = maybe(is_pause),
  strikes = maybe(each(text, is_count, MOST_KINDS)), refused = maybe(each(text, is_pause, REMEMBERED_IDS)),
  proven = maybe(each(text, fence, REMEMBERED_IDS)), grants = maybe(each(whole, is_grant, MOST_GRANTS)),
  reported = maybe(is_report), confirmed = maybe(is_confirmation), refresh_dropped = whole, lesson = is_lesson,
})

local function read(key, name, fits)
  local stored = redis.pcall('GET', key)
  if not stored then return nil end
  if type(stored) == 'string' and #stored > MAX_DOCUMENT_BYTES then
    stored = ''
  end
  if type(stored) == 'string' then
    local decoded, value = pcall(cjson.decode, stored)
    if decoded and fits(value) then return value end
  elseif stored.err:sub(1, 9) ~= 'WRONGTYPE' then
    error(stored.err)
  end
  table.insert(damaged, name)
  return nil
end

local gate = read(KEYS[1], 'gate', is_gate)
local token = read(KEYS[2], 'token', is_token)

-- A span that starts in the future was written before the clock went back: it starts now and keeps its length. One
-- longer than any valid one ends after a day: a fleet must recover without an operator who removes the key.
local function sanitize(span)
  if not span then return end
  if span.from_ms > now then
    span.until_ms = now + span.until_ms - span.from_ms
    span.from_ms = now
    clock_went_back = true
  end
  span.until_ms = math.min(span.until_ms, span.from_ms + LONGEST_SPAN_MS)
  if span.strikes then span.strikes = math.min(span.strikes, MOST_FAILURES) end
end

local function sanitize_grants(grants)
  for _, grant in ipairs(grants) do
    if grant.at_ms > now then
      grant.at_ms = now
      clock_went_back = true
    end
  end
end

if gate then
  gate.strikes, gate.refused = gate.strikes or {}, gate.refused or {}
  gate.proven, gate.grants = gate.proven or {}, gate.grants or {}
  sanitize(gate.lease)
  sanitize(gate.pause)
  for _, pause in pairs(gate.refused) do sanitize(pause) end
  for _, failures in pairs(gate.strikes) do failures.count = math.min(failures.count, MOST_FAILURES) end
  sanitize_grants(gate.grants)
  if gate.born_ms > now then
    gate.born_ms = now
    clock_went_back = true
  end
end

local function left_of(span)
  return span and math.max(0, span.until_ms - now) or 0
end

-- `lost`: an earlier document was lost, so a call may still be running.
local function need_gate(lost)
  gate = gate or {
    epoch = args.new_epoch, born_ms = now, lost = lost, fence = 0, failed_nonce = '', strikes = {}, refused = {},
    proven = {}, grants = {}, refresh_dropped = 0, lesson = {fence = 0, learned_s = 0, evidence_s = 0},
  }
end

-- The replica remembers an epoch: another one here means that the data it saw was lost.
local function need_gate_of(epoch)
  need_gate(epoch ~= '')
  if epoch ~= '' and epoch ~= gate.epoch then gate.lost = true end
end

-- Keeps the few entries of a table with the highest rank; of equal ones those with the larger name.
local function keep_few(of, rank)
  local ids = {}
  for id in pairs(of) do table.insert(ids, id) end
  table.sort(ids, function(one, other)
    local first, second = rank(of[one]), rank(of[other])
    if first == second then return one < other end
    return first < second
  end)
  for index = 1, #ids - REMEMBERED_IDS do of[ids[index]] = nil end
end

local function keep_few_refusals()
  keep_few(gate.refused, function(pause) return pause.until_ms end)
end

local function prove(id, proven_fence)
  gate.proven[id] = math.max(gate.proven[id] or 0, proven_fence)
end

local function keep_few_proven()
  keep_few(gate.proven, function(proven_fence) return proven_fence end)
end

-- Returns the permits within the window, oldest first, and never more than any budget allows.
local function keep_running(grants, window_ms)
  local running = {}
  for _, grant in ipairs(grants) do
    if now - grant.at_ms < window_ms then table.insert(running, grant) end
  end
  table.sort(running, function(one, other)
    if one.at_ms == other.at_ms then return one.fence < other.fence end
    return one.at_ms < other.at_ms
  end)
  while #running > MOST_GRANTS do table.remove(running, 1) end
  return running
end

-- cjson cannot tell an empty list from an object. It writes {}, which is no list to other readers: left out instead.
local function pack()
  for _, name in ipairs({'strikes', 'refused', 'proven', 'grants'}) do
    if gate[name] and next(gate[name]) == nil then gate[name] = nil end
  end
end

-- The first word of a server's error says why it refuses to write, such as READONLY. Before version 7 the place in the
-- script stands before that word, so the error is caught, the place is removed, and the rest becomes the reply.
local refusal

local function write(key, document, keep_ms)
  if refusal then return end
  local reply = redis.pcall('SET', key, cjson.encode(document), 'PX', keep_ms)
  if reply.err then refusal = {err = reply.err:match('%-(%u+ .*)') or reply.err} end
end

local function save_gate()
  pack()
  write(KEYS[1], gate, GATE_KEEP_MS)
end

-- Written before the document: if memory runs out in between, the token is stored and the lease ends by itself.
local function save_token()
  token = {fence = args.token.fence, id = args.token.id, sealed = args.token.sealed}
  write(KEYS[2], token, args.token.keep_ms)
end

-- The sealed text is sent only to replicas that do not have this token yet.
local function answer(outcome, known, left_ms)
  if refusal then return refusal end
  if gate then pack() end
  local shown
  if token then
    shown = {fence = token.fence, id = token.id}
    if token.fence > known then shown.sealed = token.sealed end
  end
  return cjson.encode({
    now_ms = now, outcome = outcome, left_ms = left_ms or 0, gate = gate, token = shown,
    damaged = #damaged > 0 and damaged or nil,
  })
end
