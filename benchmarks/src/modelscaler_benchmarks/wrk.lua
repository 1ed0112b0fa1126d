-- Posts the files DIRECTORY/1.body … COUNT.body in turn, with the headers given as NAME VALUE pairs, and closes with one line of figures.

local requests = {}
local next_request = 0

function init(arguments)
   local directory, count = arguments[1], tonumber(arguments[2])
   wrk.method = "POST"
   for position = 3, #arguments - 1, 2 do
      wrk.headers[arguments[position]] = arguments[position + 1]
   end
   for number = 1, count do
      local file = assert(io.open(directory .. "/" .. number .. ".body", "rb"))
      requests[number] = wrk.format(nil, nil, nil, file:read("*a"))
      file:close()
   end
end

function request()
   next_request = next_request % #requests + 1
   return requests[next_request]
end

function done(summary, latency)
   local errors = summary.errors
   local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
   io.write(string.format(
      'figures: {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failures": %d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failures))
end
