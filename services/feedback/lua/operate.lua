-- Changes what is learned as a whole, as an operator or a guardrail asks, and notes it.
--
-- KEYS: the state, the cells, the history, the places of kept versions.
-- ARGV: freeze, alarm, thaw, roll_back, reset, withdraw, end_trial or import; who asks; why;
--   channel for hints; then: of a rollback the version, of a reset the beginning of the cells' names, of a
--   withdrawal the strictness with the audits that it must have, and what else goes, of a trial
--   policy and incumbent, of an import the new epoch and the cells, name and sums. What was learned
--   is kept first, so that it can be put back; trials go on, or are over, whatever is put back.
-- Returns the new version; an error 'UNKNOWN ...' for a version that is not kept.
local state, cells, history = unpack(KEYS, 1, 3)
local places = {unpack(KEYS, 4)}
local what, author, reason, channel = unpack(ARGV, 1, 4)
local now = clock()

local function place_of(version)
  for place = 1, #places do
    if redis.call('HGET', state, 'place:' .. place) == version then return place end
  end
end

local function is_of_trial(name) return string.sub(name, 1, 9) == '["trial",' end

local DONE = {
  freeze = 'frozen', alarm = 'frozen', thaw = 'thawed', roll_back = 'rolled back', reset = 'reset',
  withdraw = 'reset', end_trial = 'trial', import = 'imported'
}

local place = what == 'roll_back' and place_of(ARGV[5])
if what == 'roll_back' and not place then return redis.error_reply('UNKNOWN version ' .. ARGV[5]) end
if what == 'withdraw' then
  local audits = parsed(redis.call('HGET', cells, ARGV[5])).audits or 0
  -- Another replica was first, or the store is empty.
  if audits < tonumber(ARGV[6]) then return tonumber(redis.call('HGET', state, 'version') or '0') end
end
if what == 'end_trial' and redis.call('HEXISTS', state, 'ended:' .. ARGV[5]) == 1 then
  return tonumber(redis.call('HGET', state, 'version'))
end
if what == 'alarm' and frozen(state) then
  return tonumber(redis.call('HGET', state, 'version') or '0')
end
local put_back = place and redis.call('HGETALL', places[place])
local kept = keep(state, cells, places, now)

if what == 'freeze' or what == 'alarm' then
  redis.call('HSET', state, 'frozen', '1', 'frozen_reason', reason)
elseif what == 'thaw' then
  redis.call('HDEL', state, 'frozen', 'frozen_reason')
  -- What is watched for drift begins anew: it may be as it is now from now on.
  for _, name in ipairs(redis.call('HKEYS', cells)) do
    if string.sub(name, 1, 9) == '["drift",' then redis.call('HDEL', cells, name) end
  end
elseif what == 'roll_back' then
  for _, name in ipairs(redis.call('HKEYS', cells)) do
    if not is_of_trial(name) then redis.call('HDEL', cells, name) end
  end
  for i = 1, #put_back, 2 do
    if not is_of_trial(put_back[i]) then
      redis.call('HSET', cells, put_back[i], put_back[i + 1])
    end
  end
elseif what == 'reset' then
  for _, name in ipairs(redis.call('HKEYS', cells)) do
    if string.sub(name, 1, #ARGV[5]) == ARGV[5] then redis.call('HDEL', cells, name) end
  end
  if ARGV[5] == '' or is_of_trial(ARGV[5]) then
    for _, name in ipairs(redis.call('HKEYS', state)) do
      if string.find(name, '^ended:') then redis.call('HDEL', state, name) end
    end
  end
elseif what == 'withdraw' then
  redis.call('HDEL', cells, ARGV[5], unpack(ARGV, 7))
  -- Without any level its kind would be forgotten, and go by the certificate of all kinds.
  if ARGV[7] then redis.call('HSET', cells, ARGV[7], joined({at = now, audits = 0})) end
elseif what == 'end_trial' then
  redis.call('HSET', state, 'ended:' .. ARGV[5], reason)
elseif what == 'import' then
  redis.call('DEL', cells)
  redis.call('HSET', state, 'epoch', ARGV[5])
  for i = 6, #ARGV, 2 do redis.call('HSET', cells, ARGV[i], ARGV[i + 1]) end
else
  return redis.error_reply('UNKNOWN ' .. what)
end
local version = versioned(state, now, channel)
local undone = ' (version ' .. kept .. ' was kept)'
note(history, version, now, author, DONE[what], reason .. undone)
return version
