-- wrk -s load.lua URL -- METHOD BODY NAME=VALUE...: one request, over and over; what it found as JSON.
-- A header with the value `distinct:N` names another client each time, from the one after the N-th on, as a proxy would
-- say; `last` in what it found is the number of the last one.
local distinct, generator = nil, nil
client = 0

function setup(thread)
  generator = thread
end

function init(args)
  wrk.method = args[1] or "GET"
  wrk.headers["Host"] = "api.example.com"
  if args[2] and args[2] ~= "" then
    wrk.body = args[2]
    wrk.headers["Content-Type"] = "application/json"
  end
  for index = 3, #args do
    local name, value = args[index]:match("^([^=]+)=(.*)$")
    local first = value:match("^distinct:(%d+)$")
    if first then
      distinct, client = name, tonumber(first)
    else
      wrk.headers[name] = value
    end
  end
  if distinct then
    request = function()
      client = client + 1
      local address = string.format("11.%d.%d.%d", client / 65536 % 256, client / 256 % 256, client % 256)
      wrk.headers[distinct] = address
      return wrk.format()
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%f,"broken":%d,"refused":%d,"last":%d,"p50":%f,"p99":%f,"p999":%f}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write + errors.timeout,
    errors.status, generator:get("client"), latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3
  ))
end
