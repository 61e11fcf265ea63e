-- Adds one event to the cells that it concerns, once, forgetting what is old.
--
-- KEYS: the state (epoch, version, at, ...), the cells, the mark of this event, the decision, its
--   ratings, the history, the mark of its conversation in a trial, the places of kept versions.
-- ARGV: how long the mark lives (ms), channel for hints, how often a version is kept (ms), the cells
--   that ratings of the decision concern, as `rate` has them (empty: none), how long the decision is
--   known (ms), ratings until one restart for nothing (0: none); then the remarks on strictness, what the answer's cost means for the budget,
--   the part in a trial, what is watched for drift, and the changes.
-- Returns the new version, 0 if the event was known, -1 if nothing is learned now. Nothing is
-- written unless all is sound.
local state, cells, mark, decision, ratings, history, unit = unpack(KEYS, 1, 7)
local places = {unpack(KEYS, 8)}
local channel, every, rated, known_for = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local run_length = tonumber(ARGV[6])
local now = clock()
local remarks, after = remarks_of(7)
if not remarks then return redis.error_reply('UNSOUND ' .. after) end
local cost, further = cost_of(after)
if cost == nil then return redis.error_reply('UNSOUND ' .. further) end
local part, behind = part_of(further)
local said, rest = watched_at(behind)
local changes, unsound = changes_of(rest)
if not changes then return redis.error_reply('UNSOUND ' .. unsound) end

-- Read before anything is written: a key that is not a hash fails here.
redis.call('HLEN', state)
redis.call('HLEN', cells)

if not redis.call('SET', mark, '1', 'NX', 'PX', ARGV[1]) then return 0 end
local is_frozen = frozen(state)
if part and (is_frozen or part.once and not redis.call('SET', unit, '1', 'NX', 'PX', known_for)) then
  part = false
end
if rated ~= '' then
  if part then rated = rated .. line_of(part) end
  redis.call('SET', decision, rated, 'PX', known_for)
end
if is_frozen then return -1 end
if now - tonumber(redis.call('HGET', state, 'kept_at') or digits(now)) >= every then
  note(history, keep(state, cells, places, now), now, 'learning', 'learned', '')
end
redis.call('HSETNX', state, 'kept_at', digits(now))
for _, change in ipairs(changes) do add(state, cells, now, change) end
for _, remark in ipairs(remarks) do follow(cells, now, remark) end
if cost then pace(cells, now, cost) end
if part then try(state, cells, now, part) end
for _, stream in ipairs(said) do watch(state, cells, now, said, stream) end
-- Ratings that came before the outcome.
if rated ~= '' then
  local early = redis.call('HVALS', ratings)
  for i, text in ipairs(early) do
    local score, weight = string.match(text, '^(%S+) ?(%S*)$')
    local counts = tonumber(weight) or 1
    rate_anew(state, cells, history, now, rated, tonumber(score), counts, run_length)
    if weight == '' then watch_score(state, cells, now, said, rated, tonumber(score)) end
    if i == 1 then rate_arm(state, cells, now, rated, tonumber(score)) end
  end
end
return versioned(state, now, channel)
