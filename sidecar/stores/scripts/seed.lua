-- Raises what is stored to what a replica remembers; never lowers or shortens anything.
--
-- ARGV[1]  {epoch, fence, token: {fence, id, sealed, age_ms, issued_ms, keep_ms} (or absent), clock_stepped (the offered
--          age of the stored token counts), pause: {kind, left_ms, strikes, detail} (or absent), strikes: {kind: count},
--          refused: {id: pause}, proven, grant_ages_ms, demand_ages_ms (oldest first, within the window), window_ms,
--          rejected_id, rejected_age_ms, confirmed_id, refresh_dropped, learned_s, evidence_s, new_epoch}
-- outcome  'seeded'

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
  if not offered or (stored and left_of(stored) >= offered.left_ms) then return stored end
  return {
    kind = offered.kind, from_ms = now, until_ms = now + offered.left_ms, strikes = offered.strikes,
    detail = offered.detail,
  }
end

-- A token newer than all the replica knew has ended its pauses, but for a 429: that is true for all.
local history = token and token.fence > args.fence
if not history or (args.pause and args.pause.kind == 'throttled') then gate.pause = later_of(gate.pause, args.pause) end
if not history then
  for kind, strikes in pairs(args.strikes) do gate.strikes[kind] = math.max(gate.strikes[kind] or 0, strikes) end
  for id, offered in pairs(args.refused) do gate.refused[id] = later_of(gate.refused[id], offered) end
  drop_oldest_refusals()
end

local function longer_of(stored, ages_ms)
  local running = 0
  for _, at in ipairs(stored) do
    if now - at < args.window_ms then running = running + 1 end
  end
  if #ages_ms <= running then return stored end
  local instants = {}
  for _, age_ms in ipairs(ages_ms) do table.insert(instants, now - age_ms) end
  return instants
end

gate.grants_ms = longer_of(gate.grants_ms, args.grant_ages_ms)
gate.demand_ms = longer_of(gate.demand_ms, args.demand_ages_ms)
if #gate.proven == 0 then gate.proven = args.proven end
if gate.learned_s == 0 and gate.evidence_s == 0 then
  gate.learned_s, gate.evidence_s = args.learned_s, args.evidence_s
end

-- What is said of a token holds only for the one that is stored now; a confirmed one cannot be rejected.
local function settle_verdict(id)
  if gate.confirmed_id ~= id then gate.confirmed_id = '' end
  if args.confirmed_id == id then gate.confirmed_id = id end
  if gate.rejected_id ~= id and args.rejected_id == id then
    gate.rejected_id, gate.rejected_age_ms = id, args.rejected_age_ms
  end
  if gate.rejected_id ~= id or gate.confirmed_id == id then gate.rejected_id, gate.rejected_age_ms = '', 0 end
end

if token then settle_verdict(token.id) end
save_gate()
return answer('seeded', offered_fence)
