-- Returns what is learned, unless the caller has it.
--
-- KEYS: the state, the cells. ARGV: the epoch and the version that the caller has, and an epoch
-- to take if the store has none, or if it went back in time under its old one (a backup, a
-- failover that lost writes): versions of before do not compare with those of after.
-- Returns {epoch, version}, and if these are news {epoch, version, at, {name, sums, ...}, why it is
-- frozen, or false, {trial, why it is over, ...}}.
local state, cells = KEYS[1], KEYS[2]
local have_epoch, have_version = ARGV[1], tonumber(ARGV[2])
local epoch = redis.call('HGET', state, 'epoch')
local version = tonumber(redis.call('HGET', state, 'version') or '0')
if not epoch or (epoch == have_epoch and version < have_version) then
  epoch = ARGV[3]
  redis.call('HSET', state, 'epoch', epoch)
end
if epoch == have_epoch and version == have_version then return {epoch, version} end
local at, all = redis.call('HGET', state, 'at') or '0', redis.call('HGETALL', cells)
local ended, fields = {}, redis.call('HGETALL', state)
for i = 1, #fields, 2 do
  local trial = string.match(fields[i], '^ended:(.*)$')
  if trial then
    ended[#ended + 1] = trial
    ended[#ended + 1] = fields[i + 1]
  end
end
local why = frozen(state) and redis.call('HGET', state, 'frozen_reason')
return {epoch, version, at, all, why, ended}
