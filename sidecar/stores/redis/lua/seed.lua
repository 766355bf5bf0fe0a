-- Merges a replica's memory into what is stored; never lowers, shortens or removes anything.
--
-- ARGV[1]  {epoch, fence, token: {fence, id, sealed, keep_ms} (or absent), clock_stepped (the offered ages of the stored
--          token and of the permits count), pause: {kind, fence, left_ms, strikes, detail} (or absent),
--          strikes: {kind: {count, fence}}, refused: {id: pause}, proven: {id: fence},
--          grants: [{fence, age_ms, on_demand}] within the window, window_ms, reported: {id, fence, age_ms} (or absent),
--          confirmed: {id, fence} (or absent), refresh_dropped, lesson: {fence, learned_s, evidence_s}, new_epoch}
-- outcome  'seeded'
-- A seed may arrive late: each fact is merged by its own fence, so later facts stay. Merged facts are recorded now, so
-- the outcome of a running call does not end them.

need_gate_of(args.epoch)
local offered_fence = args.token and args.token.fence or 0
gate.fence = math.max(gate.fence, args.fence, offered_fence)
gate.refresh_dropped = math.max(gate.refresh_dropped, args.refresh_dropped)

local function counts(offered)
  if not token or not offered then return offered end
  return offered.fence > token.fence or (args.clock_stepped and offered.fence == token.fence and offered.id == token.id)
end

if counts(args.token) then save_token() end
if gate.lease and gate.lease.fence == offered_fence then gate.lease = nil end

local function later_of(stored, offered)
  if stored and left_of(stored) >= offered.left_ms then return stored end
  return {
    kind = offered.kind, fence = gate.fence, from_ms = now, until_ms = now + offered.left_ms, strikes = offered.strikes,
    detail = offered.detail,
  }
end

-- A newer token has ended what was recorded before it, except a 429, which applies to all replicas.
local function is_ended(pause, newer_fence)
  return newer_fence > pause.fence and pause.kind ~= 'throttled'
end

local token_fence = token and token.fence or 0
if args.pause and not is_ended(args.pause, token_fence) then
  gate.pause = later_of(gate.pause, args.pause)
end
for kind, offered in pairs(args.strikes) do
  if offered.fence >= token_fence then
    local stored = gate.strikes[kind] or {count = 0, fence = 0}
    gate.strikes[kind] = {count = math.max(stored.count, offered.count), fence = math.max(stored.fence, offered.fence)}
  end
end

for id, proven_fence in pairs(args.proven) do prove(id, proven_fence) end
for id, offered in pairs(args.refused) do
  if not is_ended(offered, gate.proven[id] or 0) then gate.refused[id] = later_of(gate.refused[id], offered) end
end
keep_few_refusals()
keep_few_proven()

-- A union: a permit that is not stored was spent too.
local function merge_grants()
  local by_fence = {}
  for _, grant in ipairs(gate.grants) do by_fence[grant.fence] = grant end
  for _, offered in ipairs(args.grants) do
    local at_ms = now - offered.age_ms
    local stored = by_fence[offered.fence]
    if not stored then
      table.insert(gate.grants, {fence = offered.fence, at_ms = at_ms, on_demand = offered.on_demand or nil})
    elseif args.clock_stepped then
      stored.at_ms = math.max(stored.at_ms, at_ms)
    end
  end
  gate.grants = keep_running(gate.grants, args.window_ms)
end

merge_grants()
if args.lesson.fence > gate.lesson.fence then gate.lesson = args.lesson end

-- Reports and confirmations count only for the token that is stored now. Of the two, the later counts.
local function settle_verdict()
  local reported, confirmed = gate.reported, gate.confirmed
  if reported and reported.id ~= token.id then reported = nil end
  if confirmed and confirmed.id ~= token.id then confirmed = nil end
  if args.confirmed and args.confirmed.id == token.id and (not confirmed or args.confirmed.fence > confirmed.fence) then
    confirmed = args.confirmed
  end
  local offered = args.reported and args.reported.id == token.id and args.reported
  if offered and reported then
    reported.fence = math.max(reported.fence, offered.fence)
  elseif offered and not (confirmed and confirmed.fence > offered.fence) then
    reported = {id = token.id, fence = gate.fence, age_ms = offered.age_ms}
  end
  if reported and confirmed then
    if confirmed.fence > reported.fence then reported = nil else confirmed = nil end
  end
  gate.reported, gate.confirmed = reported, confirmed
end

if token then settle_verdict() end
save_gate()
return answer('seeded', offered_fence)
