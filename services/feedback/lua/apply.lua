-- Adds one event to the cells that it concerns, once, forgetting what is old.
--
-- KEYS: the state (epoch, version, at, ...), the cells, the mark of this event.
-- ARGV: how long the mark lives (ms), half-life (ms), channel for hints; then for each cell: its
--   name, the number of cells above which it may not be a new one, the number of its sums, and
--   for each sum its name and what to add.
-- Returns the new version, or 0 if the event was known. Nothing is written unless all is sound.
--
-- Only what Redis 6.2 and all later servers have. Numbers are kept as text of 17 digits: Redis
-- would cut a returned number to an integer, and cjson rounds.
local state, cells, mark = KEYS[1], KEYS[2], KEYS[3]
local half_life = tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local STALE_HALF_LIVES, PRUNE_EVERY = 10, 60000

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
  for name, value in pairs(sums) do
    parts[#parts + 1] = name .. ' ' .. string.format('%.17g', value)
  end
  table.sort(parts)
  return table.concat(parts, ' ')
end

local function prune()
  if now - tonumber(redis.call('HGET', state, 'pruned_at') or '0') < PRUNE_EVERY then return end
  redis.call('HSET', state, 'pruned_at', string.format('%.17g', now))
  local all = redis.call('HGETALL', cells)
  for i = 1, #all, 2 do
    if now - (parsed(all[i + 1]).at or 0) > STALE_HALF_LIVES * half_life then
      redis.call('HDEL', cells, all[i])
    end
  end
end

local function room(limit)
  if redis.call('HLEN', cells) < limit then return true end
  prune()
  return redis.call('HLEN', cells) < limit
end

local changes, i = {}, 4
while i <= #ARGV do
  local change = {name = ARGV[i], limit = tonumber(ARGV[i + 1]), sums = {}}
  local count = tonumber(ARGV[i + 2])
  for j = i + 3, i + 1 + 2 * count, 2 do
    local delta = tonumber(ARGV[j + 1])
    if not sound(delta) then return redis.error_reply('UNSOUND ' .. change.name) end
    change.sums[ARGV[j]] = delta
  end
  changes[#changes + 1] = change
  i = i + 3 + 2 * count
end

-- Read before anything is written: a key that is not a hash fails here.
redis.call('HLEN', state)
redis.call('HLEN', cells)

if not redis.call('SET', mark, '1', 'NX', 'PX', ARGV[1]) then return 0 end
for _, change in ipairs(changes) do
  local text = redis.call('HGET', cells, change.name)
  if text or room(change.limit) then
    local sums = parsed(text)
    -- A clock that was set back forgets nothing.
    local kept = 0.5 ^ (math.max(0, now - (sums.at or now)) / half_life)
    for name, value in pairs(sums) do sums[name] = value * kept end
    for name, delta in pairs(change.sums) do sums[name] = (sums[name] or 0) + delta end
    sums.at = now
    redis.call('HSET', cells, change.name, joined(sums))
  else
    redis.call('HINCRBY', state, 'num_refused_cells', 1)
  end
end
redis.call('HSET', state, 'at', string.format('%.17g', now))
local version = redis.call('HINCRBY', state, 'version', 1)
redis.call('PUBLISH', ARGV[3], version)
return version
