-- Counts what came of requests in the trial of a policy, each arm in a cell of its own, and holds it
-- against what came of the incumbent's before: see trials.py.

local LEAST = 50  -- requests of the incumbent's that others are held against
local LATE, COST_SPAN, COST_STEPS, SCORE_STEPS = 0.95, 4, 40, 20

-- What place i of ARGV says of a request's part in a trial, false if it has none (an empty name); and
-- the place after it: its arm's cell, the incumbent's, limit, whether it failed, the bin of its
-- seconds and its cost (empty: not known), whether only the first of its conversation counts.
local function part_of(i)
  if ARGV[i] == '' then return false, i + 1 end
  return {name = ARGV[i], incumbent = ARGV[i + 1], limit = tonumber(ARGV[i + 2]),
    failed = tonumber(ARGV[i + 3]), bin = tonumber(ARGV[i + 4]), cost = tonumber(ARGV[i + 5]),
    once = ARGV[i + 6] == '1'}, i + 7
end

-- The bin up to which a share of the times lies.
local function late_bin(sums)
  local bins = {}
  for name, count in pairs(sums) do
    local bin = string.match(name, '^s(%d+)$')
    if bin then bins[#bins + 1] = {tonumber(bin), count} end
  end
  table.sort(bins, function(a, b) return a[1] < b[1] end)
  local left = LATE * sums.timed
  for _, bin in ipairs(bins) do
    left = left - bin[2]
    if left <= 1e-9 then return bin[1] end
  end
end

local function count(state, cells, now, part, sums)
  add(state, cells, now, {name = part.name, limit = part.limit, half_life = 0, sums = sums})
end

-- What the incumbent's requests so far say of this one: none of it depends on this one's arm.
local function try(state, cells, now, part)
  local before = parsed(redis.call('HGET', cells, part.incumbent))
  local sums = {units = 1, failed = part.failed}
  if (before.timed or 0) >= LEAST and (part.bin or part.failed > 0) then
    local is_late = part.failed > 0 or part.bin > late_bin(before)
    sums.compared, sums.late = 1, is_late and 1 or 0
  end
  if part.bin and part.failed == 0 and part.name == part.incumbent then
    sums.timed, sums['s' .. part.bin] = 1, 1
  end
  if part.cost then
    if (before.priced or 0) >= LEAST and before.cost > 0 then
      local times = math.min(1, part.cost * before.priced / before.cost / COST_SPAN)
      sums['c' .. math.floor(COST_STEPS * times + 0.5)] = 1
    end
    sums.priced, sums.cost = 1, part.cost
  end
  count(state, cells, now, part, sums)
end

-- The line that tells ratings of a decision whose arm it belongs to.
local function line_of(part)
  return '\n' .. part.name .. '\t' .. part.incumbent .. '\t' .. digits(part.limit)
end

-- Counts the first score of a decision for its arm, if it has one: a line of two names and a limit.
local function rate_arm(state, cells, now, rated, score)
  local name, incumbent, limit = string.match(rated, '\n([^\n\t]+)\t([^\n\t]+)\t(%d+)')
  if not name then return end
  local before = parsed(redis.call('HGET', cells, incumbent))
  local sums = {rated = 1, score = score}
  if (before.rated or 0) >= LEAST then
    local loss = before.score / before.rated - score
    sums['q' .. math.floor(SCORE_STEPS * loss + 0.5)] = 1
  end
  count(state, cells, now, {name = name, limit = tonumber(limit)}, sums)
end

