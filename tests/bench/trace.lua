-- Every request carries a header of its own, as with a trace id.
local count = 0
request = function()
  count = count + 1
  return wrk.format("GET", nil, {["Sidecar-Request"] = "true", ["X-Trace-Id"] = tostring(count)})
end
