-- Each request has a trace of its own: `traceparent` and `X-Request-Id` differ every time, also from one run to the next.
local before, run, count = "", os.time(), 0

init = function()
  -- Without the empty line at the end.
  before = wrk.format("GET"):sub(1, -3)
end

request = function()
  count = count + 1
  return before .. string.format(
    "traceparent: 00-%08x%024x-%016x-01\r\nX-Request-Id: %08x-5c1d-4e0a-9a3b-0000%08x\r\n\r\n",
    run, count, count, count, run)
end
