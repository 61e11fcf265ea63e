-- What all steps share: cells are sums that fade, kept as text of 17 digits, for Redis would cut a
-- returned number to an integer, and cjson rounds. Only what Redis 6.2 and all later servers have.
local STALE_HALF_LIVES, PRUNE_EVERY = 10, 60000
local MOST_CHANGES = 1000

local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function digits(number) return string.format('%.17g', number) end

local function sound(number)
  return number ~= nil and number == number and number >= 0 and number < math.huge
end

local function parsed(text)
  local sums = {}
  for name, value in string.gmatch(text or '', '(%S+) (%S+)') do
    sums[name] = tonumber(value)
    if not sound(sums[name]) then return {} end
  end
  return sums
end

local function joined(sums)
  local parts = {}
  for name, value in pairs(sums) do parts[#parts + 1] = name .. ' ' .. digits(value) end
  table.sort(parts)
  return table.concat(parts, ' ')
end

local function prune(state, cells, now, half_life)
  if now - tonumber(redis.call('HGET', state, 'pruned_at') or '0') < PRUNE_EVERY then return end
  redis.call('HSET', state, 'pruned_at', digits(now))
  local all = redis.call('HGETALL', cells)
  for i = 1, #all, 2 do
    local word = string.match(all[i], '^%["(%a+)"')
    local lasts = word == 'level' or word == 'strictness' or word == 'quality' or word == 'restart'
      or word == 'trial' or word == 'pacing'
    if not lasts and now - (parsed(all[i + 1]).at or 0) > STALE_HALF_LIVES * half_life then
      redis.call('HDEL', cells, all[i])
    end
  end
end

local function room(state, cells, now, change)
  if redis.call('HLEN', cells) < change.limit then return true end
  if change.half_life > 0 then prune(state, cells, now, change.half_life) end
  return redis.call('HLEN', cells) < change.limit
end

-- How much of sums still counts. A clock that was set back forgets nothing.
local function share_kept(sums, now, half_life)
  return 0.5 ^ (math.max(0, now - (sums.at or now)) / half_life)
end

-- Adds to a cell, fading what it held; a half-life of 0 fades nothing. What has its most audits
-- stays as it is: who goes on looking finds in the end what he wants.
local function add(state, cells, now, change)
  local text = redis.call('HGET', cells, change.name)
  if not text and not room(state, cells, now, change) then
    redis.call('HINCRBY', state, 'num_refused_cells', 1)
    return
  end
  local sums = parsed(text)
  if change.most and (sums.audits or 0) >= change.most then return end
  if change.half_life > 0 then
    local kept = share_kept(sums, now, change.half_life)
    for name, value in pairs(sums) do sums[name] = value * kept end
  end
  for name, delta in pairs(change.sums) do sums[name] = (sums[name] or 0) + delta end
  sums.at = now
  redis.call('HSET', cells, change.name, joined(sums))
end

-- The changes that ARGV names from place i on: name, limit, half-life, most audits (empty: any
-- number), number of sums, the sums.
local function changes_of(i)
  local changes = {}
  while i <= #ARGV do
    local change = {name = ARGV[i], limit = tonumber(ARGV[i + 1]),
      half_life = tonumber(ARGV[i + 2]), most = tonumber(ARGV[i + 3]), sums = {}}
    local count = tonumber(ARGV[i + 4])
    for j = i + 5, i + 3 + 2 * count, 2 do
      local delta = tonumber(ARGV[j + 1])
      if not sound(delta) then return nil, change.name end
      change.sums[ARGV[j]] = delta
    end
    changes[#changes + 1] = change
    i = i + 5 + 2 * count
  end
  return changes
end

-- What a score adds to the cells that are rated.
local function rating_sums(score, weight, expected)
  local sums = {ratings = weight, score = weight * score, squares = weight * score ^ 2}
  if expected then
    sums.predicted, sums.expected = weight, weight * expected
    sums.predicted_score = weight * score
  end
  return sums
end

-- Adds a score to what is rated: a line with half-life, limit and perhaps the quality that was
-- predicted, and a line for each cell's name. A line with a tab is of a trial. The weight is less
-- than 1 of who rates very often.
local function rate(state, cells, now, rated, score, weight)
  local half_life, limit, said, names = string.match(rated, '^(%S+) (%S+) ?(%S*)\n(.*)$')
  local sums = rating_sums(score, weight, tonumber(said))
  for name in string.gmatch(names or '', '[^\n]+') do
    local change = {name = name, limit = tonumber(limit), half_life = tonumber(half_life)}
    change.sums = sums
    if not string.find(name, '\t', 1, true) then add(state, cells, now, change) end
  end
end

local function frozen(state) return redis.call('HGET', state, 'frozen') == '1' end

-- One more version, told to all who listen.
local function versioned(state, now, channel)
  redis.call('HSET', state, 'at', digits(now))
  local version = redis.call('HINCRBY', state, 'version', 1)
  redis.call('PUBLISH', channel, version)
  return version
end

-- Notes what was done, for people; fields are parted by tabs.
local function note(history, version, now, author, action, reason)
  local entry = {digits(version), digits(now), author, action, reason}
  redis.call('LPUSH', history, table.concat(entry, '\t'))
  redis.call('LTRIM', history, 0, MOST_CHANGES - 1)
end

-- Keeps the cells as they are under this version, in the oldest of the places.
local function keep(state, cells, places, now)
  local version = redis.call('HGET', state, 'version') or '0'
  local place = (tonumber(redis.call('HGET', state, 'place') or '0')) % #places + 1
  redis.call('COPY', cells, places[place], 'REPLACE')
  redis.call('HSET', state, 'place', place, 'place:' .. place, version, 'kept_at', digits(now))
  return version
end
