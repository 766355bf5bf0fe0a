-- Stores a token unless one of the same or a newer fence is there; ends the lease if it is the caller's.
--
-- ARGV[1]  {nonce, token: {fence, id, sealed, keep_ms}, credentials_id, learned_s, evidence_s, new_epoch}
-- outcome  'stored' (also when it was stored before) | 'older'
-- A missing document was lost: the caller had a lease in it.

need_gate(true)
-- A document that never issued this fence, or lost it in a failover, cannot show what was recorded before its grant.
local was_granted_here = args.token.fence <= gate.fence
gate.fence = math.max(gate.fence, args.token.fence)
if gate.lease and gate.lease.nonce == args.nonce then gate.lease = nil end

-- Facts recorded before this call's grant are over. Facts recorded since stay, however late the token arrives.
local function is_over(fact)
  return fact and was_granted_here and fact.fence < token.fence
end

-- A report was mistaken if a call that was granted after it returned the reported token again.
local function settle_verdict()
  local reported = gate.reported
  gate.confirmed = nil
  if not reported or reported.id ~= token.id then
    gate.reported = nil
  elseif is_over(reported) then
    gate.reported = nil
    gate.confirmed = {id = token.id, fence = token.fence}
  end
end

local function store()
  save_token()
  if is_over(gate.pause) then gate.pause = nil end
  if is_over(gate.refused[args.credentials_id]) then gate.refused[args.credentials_id] = nil end
  for kind, failures in pairs(gate.strikes) do
    if is_over(failures) then gate.strikes[kind] = nil end
  end
  prove(args.credentials_id, token.fence)
  keep_few_proven()
  settle_verdict()
  if gate.lesson.fence < token.fence then
    gate.lesson = {fence = token.fence, learned_s = args.learned_s, evidence_s = args.evidence_s}
  end
end

local function decide()
  if token and token.fence == args.token.fence and token.id == args.token.id then return 'stored' end
  if token and token.fence >= args.token.fence then return 'older' end
  store()
  return 'stored'
end

local outcome = decide()
save_gate()
return answer(outcome, args.token.fence)
