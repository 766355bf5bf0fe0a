-- Marks the stored token as rejected if the report names it and the partner has not confirmed it.
--
-- ARGV[1]  {token_id, new_epoch}
-- outcome  'current' (also when it was reported before) | 'confirmed' | 'late'
-- The first report's age is kept. A late report learns the token that is there instead.

local function decide()
  if not token or token.id ~= args.token_id then return 'late' end
  need_gate(true)
  if gate.confirmed_id == token.id then return 'confirmed' end
  if gate.rejected_id ~= token.id then
    gate.rejected_id = token.id
    gate.rejected_age_ms = math.max(0, now - token.issued_ms)
    save_gate()
  end
  return 'current'
end

local outcome = decide()
return answer(outcome, outcome == 'late' and 0 or token.fence)
