-- Marks the stored token as reported if the report names it and the partner has not confirmed it.
--
-- ARGV[1]  {token_id, age_ms (the token's, as the reporter knows it), new_epoch}
-- outcome  'current' (also when it was reported before) | 'confirmed' | 'late'
-- The first report's age is kept. A late report gets the stored token, if any.

local function decide()
  if not token or token.id ~= args.token_id then return 'late' end
  need_gate(true)
  if gate.confirmed and gate.confirmed.id == token.id then return 'confirmed' end
  if not gate.reported or gate.reported.id ~= token.id then
    gate.reported = {id = token.id, fence = gate.fence, age_ms = args.age_ms}
    save_gate()
  end
  return 'current'
end

local outcome = decide()
return answer(outcome, outcome == 'late' and 0 or token.fence)
