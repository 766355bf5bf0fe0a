-- Stores a token unless one of the same or a newer fence is there; ends the lease if it is the caller's.
--
-- ARGV[1]  {nonce, token: {fence, id, sealed, age_ms, issued_ms, keep_ms}, credentials_id, learned_s, evidence_s, new_epoch}
-- outcome  'stored' (also when it was stored before) | 'older'
-- A gate that is not there was lost: the caller had a lease in it.

need_gate(true)
gate.fence = math.max(gate.fence, args.token.fence)
if gate.lease and gate.lease.nonce == args.nonce then gate.lease = nil end

local function remember_proven(id)
  local proven = {}
  for _, other in ipairs(gate.proven) do
    if other ~= id then table.insert(proven, other) end
  end
  table.insert(proven, id)
  while #proven > REMEMBERED_IDS do table.remove(proven, 1) end
  gate.proven = proven
end

local function store()
  save_token()
  -- A call that was granted before the partner said no has not taken that back, however late its token comes.
  if not gate.pause or gate.pause.from_ms < token.fence then
    gate.pause = nil
    gate.strikes = {}
  end
  local refused = gate.refused[args.credentials_id]
  if refused and refused.from_ms < token.fence then gate.refused[args.credentials_id] = nil end
  remember_proven(args.credentials_id)
  -- The very token that was reported came again: the report was mistaken.
  gate.confirmed_id = gate.rejected_id == token.id and token.id or ''
  gate.rejected_id, gate.rejected_age_ms = '', 0
  gate.learned_s, gate.evidence_s = args.learned_s, args.evidence_s
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
