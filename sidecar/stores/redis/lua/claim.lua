-- Decides whether the caller may call the partner now.
--
-- ARGV[1]  {nonce, known, fence, epoch, on_demand, credentials_id, new_epoch, limit_ms, calls, demand_calls, window_ms}
-- outcome  'granted' (the lease is in the gate) | 'adopt' | 'held' | 'cooling-down' | 'over-budget'
-- left_ms  for 'held' and 'over-budget': the time to wait
-- A granted nonce whose lease still runs is granted again and spends no permit.

need_gate_of(args.epoch)
gate.fence = math.max(gate.fence, args.fence, args.known)
gate.grants = keep_running(gate.grants, args.window_ms)

-- The window is exact: it has room again when enough of the oldest permits have left it.
local function permit_wait(calls, on_demand)
  local spent = {}
  for _, grant in ipairs(gate.grants) do
    if not on_demand or grant.on_demand then table.insert(spent, grant.at_ms) end
  end
  if #spent < calls then return 0 end
  return args.window_ms - (now - spent[#spent - calls + 1])
end

local function budget_wait()
  local wait = permit_wait(args.calls, false)
  if args.on_demand then wait = math.max(wait, permit_wait(args.demand_calls, true)) end
  return wait
end

local function grant()
  local next_fence = math.max(gate.fence + 1, now)
  gate.fence = next_fence + next_fence % 2
  gate.lease = {nonce = args.nonce, fence = gate.fence, from_ms = now, until_ms = now + args.limit_ms}
  table.insert(gate.grants, {fence = gate.fence, at_ms = now, on_demand = args.on_demand or nil})
end

local function decide()
  local lease_left = left_of(gate.lease)
  if lease_left > 0 and gate.lease.nonce == args.nonce then return 'granted' end
  local reported = gate.reported and gate.reported.id
  if token and token.fence > args.known and token.id ~= reported then return 'adopt' end
  if lease_left > 0 then return 'held', lease_left end
  local quarantine_left = gate.born_ms + args.limit_ms - now
  if gate.lost and quarantine_left > 0 then return 'held', quarantine_left end
  if left_of(gate.pause) > 0 or left_of(gate.refused[args.credentials_id]) > 0 then return 'cooling-down' end
  local wait = budget_wait()
  if wait > 0 then return 'over-budget', wait end
  grant()
  return 'granted'
end

local outcome, left_ms = decide()
save_gate()
return answer(outcome, args.known, left_ms)
