-- The load: one POST of 1,024 bytes of JSON, again and again. What wrk counted goes out as one line of JSON.
-- Where a file is named behind the URL, each request has its next line as Authorization, and after the last the first.
local head, tail = '{"data": "', '"}'

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = head .. string.rep("x", 1024 - #head - #tail) .. tail

function init(args)
  if not args[1] then return end
  local requests, at = {}, 0
  for line in io.lines(args[1]) do
    wrk.headers["Authorization"] = line
    requests[#requests + 1] = wrk.format()
  end
  function request()
    at = at % #requests + 1
    return requests[at]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %.0f, "p99_us": %.0f, '
      .. '"connect": %d, "read": %d, "write": %d, "timeout": %d, "status": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.timeout, errors.status
  ))
end
