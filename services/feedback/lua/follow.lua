-- Leads strictness, and bets against its certificate: remarks say what one event has to do with one
-- that follows its divergence.

local REMARK = {'num_audits', 'first', 'floor', 'ceiling', 'strictness', 'tolerance', 'gain',
  'max_step', 'dead_band', 'min_answers', 'max_harm'}

-- The remarks from place i of ARGV on, of which it holds the number; and the place after them.
local function remarks_of(i)
  local remarks, count = {}, tonumber(ARGV[i])
  i = i + 1
  for _ = 1, count do
    local remark = {name = ARGV[i], level = ARGV[i + 1], sums = {}}
    i = i + 2
    for _, name in ipairs(REMARK) do
      remark[name] = tonumber(ARGV[i])
      if not sound(remark[name]) then return nil, remark.name end
      i = i + 1
    end
    for j = i + 1, i + 2 * tonumber(ARGV[i]), 2 do
      remark.sums[ARGV[j]] = tonumber(ARGV[j + 1])
      if not sound(remark.sums[ARGV[j]]) then return nil, remark.name end
    end
    i = i + 1 + 2 * tonumber(ARGV[i])
    remarks[#remarks + 1] = remark
  end
  return remarks, i
end

-- One step, once there are answers enough: strictness += gain * (divergence - target).
local function step(sums, remark, target)
  if (sums.answers or 0) < remark.min_answers then return end
  local distance = sums.divergence / sums.answers - target
  sums.answers, sums.divergence = 0, 0
  if math.abs(distance) <= remark.dead_band then return end
  local move = math.max(-remark.max_step, math.min(remark.max_step, remark.gain * distance))
  sums.strictness = math.max(remark.floor, math.min(remark.ceiling, sums.strictness + move))
  sums.steps = (sums.steps or 0) + 1
end

-- An audit is a bet that more is harmed than may be. The most that was ever won is kept: an alarm
-- stands though clean audits follow before anybody looked.
local function doubt(sums, remark)
  if not remark.sums.audits then return end
  bet(sums, 'harm', remark.sums.harmed, remark.max_harm)
  sums.doubt = math.max(sums.doubt or 0, mean_won(sums, 'harm'))
end

-- Follows one event. The target is that of the level's audits, which a rollback or a reset may have
-- taken away since the caller looked.
local function follow(cells, now, remark)
  local level = parsed(redis.call('HGET', cells, remark.level))
  if (level.audits or 0) < remark.num_audits then return end
  local sums = parsed(redis.call('HGET', cells, remark.name))
  sums.strictness = sums.strictness or remark.first
  if math.abs(sums.strictness - remark.strictness) > remark.tolerance then return end
  for name, delta in pairs(remark.sums) do sums[name] = (sums[name] or 0) + delta end
  doubt(sums, remark)
  step(sums, remark, level.divergence / level.audits)
  sums.at = now
  redis.call('HSET', cells, remark.name, joined(sums))
end

