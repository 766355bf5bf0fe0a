-- Returns the state and decides nothing. It writes only if the clock went back, so that leases and pauses can end.
--
-- ARGV[1]  {known}: fence of the newest token the replica holds
-- outcome  'seen'

if clock_went_back then save_gate() end
return answer('seen', args.known)
