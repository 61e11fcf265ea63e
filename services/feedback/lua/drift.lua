-- Watches streams of values in [0, 1] for a change of their mean: see drift.py.

local LEAST_TOLERANCE, RECENCY = 0.02, 0.05

-- What place i of ARGV says of what is watched: tolerance and warm-up (both empty: nothing is),
-- number of streams, then of each cell, limit and value; and the place after it.
local function watched_at(i)
  local said = {tolerance = tonumber(ARGV[i]), warm_up = tonumber(ARGV[i + 1])}
  local after = i + 3 + 3 * tonumber(ARGV[i + 2])
  for j = i + 3, after - 1, 3 do
    said[#said + 1] = {name = ARGV[j], limit = tonumber(ARGV[j + 1]), value = tonumber(ARGV[j + 2])}
  end
  return said, after
end

local function watch(state, cells, now, said, stream)
  local text = redis.call('HGET', cells, stream.name)
  if not text and not room(state, cells, now, {limit = stream.limit, half_life = 0}) then return end
  local sums = parsed(text)
  if (sums.first or 0) < said.warm_up then
    sums.first = (sums.first or 0) + 1
    sums.sum = (sums.sum or 0) + stream.value
    sums.squares = (sums.squares or 0) + stream.value ^ 2
  else
    local mean = sums.sum / sums.first
    local spread = math.sqrt(math.max(0, sums.squares / sums.first - mean ^ 2))
    local tolerance = math.max(LEAST_TOLERANCE, said.tolerance * spread)
    bet(sums, 'up', stream.value, mean + tolerance)
    bet(sums, 'down', 1 - stream.value, 1 - mean + tolerance)
    sums.watched = (sums.watched or 0) + 1
    sums.late = (sums.late or mean) + RECENCY * (stream.value - (sums.late or mean))
  end
  sums.at = now
  redis.call('HSET', cells, stream.name, joined(sums))
end

-- A score is watched for the request's own kind, which is the last that is rated.
local function watch_score(state, cells, now, said, rated, score)
  if not said.warm_up then return end
  local limit, name = string.match(rated, '^%S+ (%S+)'), nil
  for line in string.gmatch(rated, '\n([^\n]+)') do
    if string.find(line, '^%["quality",') and not string.find(line, '\t', 1, true) then
      name = line
    end
  end
  if not name then return end
  local stream = {limit = tonumber(limit), value = score}
  stream.name = '["drift",' .. string.sub(name, 2)
  watch(state, cells, now, said, stream)
end

