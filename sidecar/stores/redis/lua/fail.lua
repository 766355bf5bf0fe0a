-- Ends the caller's lease and starts the pause of all replicas.
--
-- ARGV[1]  {nonce, fence, credentials_id, drop_refresh, known, new_epoch, kind, delay_ms, detail (absent: no pause)}
-- outcome  'failed' (also when this nonce had failed before)
-- A missing document was lost: the caller had a lease in it.

need_gate(true)
gate.fence = math.max(gate.fence, args.fence)
gate.refresh_dropped = math.max(gate.refresh_dropped, args.drop_refresh)

-- A running pause is never shortened: the one that ends later stays, with its kind.
local function pause_after(previous, strikes)
  local pause = {
    kind = args.kind, fence = gate.fence, from_ms = now, until_ms = now + args.delay_ms, strikes = strikes,
    detail = args.detail,
  }
  if left_of(previous) > args.delay_ms then
    if previous.kind ~= args.kind then return previous end
    pause.from_ms, pause.until_ms = previous.from_ms, previous.until_ms
  end
  return pause
end

local function fail()
  local ours = left_of(gate.lease) > 0 and gate.lease.nonce == args.nonce
  if gate.lease and gate.lease.nonce == args.nonce then gate.lease = nil end
  gate.failed_nonce = args.nonce
  if not args.kind then return end
  -- A newer token was stored meanwhile, so this failure is outdated. A 429 applies to all replicas.
  if not ours and token and token.fence > args.fence and args.kind ~= 'throttled' then return end
  if args.kind == 'rejected' then
    local before = gate.refused[args.credentials_id]
    gate.refused[args.credentials_id] = pause_after(before, before and before.strikes + 1 or 1)
    keep_few_refusals()
  else
    local before = gate.strikes[args.kind]
    local failures = {count = before and before.count + 1 or 1, fence = gate.fence}
    gate.strikes[args.kind] = failures
    gate.pause = pause_after(gate.pause, failures.count)
  end
end

if gate.failed_nonce ~= args.nonce then fail() end
save_gate()
return answer('failed', args.known)
