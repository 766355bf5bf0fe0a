-- Shows the state and decides nothing. It writes only when the clock went back, so that what runs can end.
--
-- ARGV[1]  {known}: fence of the newest token the asker holds
-- outcome  'seen'

if clock_went_back then save_gate() end
return answer('seen', args.known)
