-- Counts what came of requests in the trial of a policy, each arm in a cell of its own, and holds it
-- against what came of the incumbent's before: see trials.py.

local LEAST = 50  -- requests of the incumbent's that others are held against
local LATE, COST_SPAN, COST_STEPS, SCORE_STEPS = 0.95, 4, 40, 20
local LOOK_EVERY = 32  -- requests of the incumbent's after which it is found anew what is late

-- What place i of ARGV says of a request's part in a trial, false if it has none (an empty name); and
-- the place after it: its arm's cell, the incumbent's, limit, whether it failed, the bin of its
-- seconds and its cost (empty: not known), whether only the first of its conversation counts.
local function part_of(i)
  if ARGV[i] == '' then return false, i + 1 end
  return {name = ARGV[i], incumbent = ARGV[i + 1], limit = tonumber(ARGV[i + 2]),
    failed = tonumber(ARGV[i + 3]), bin = tonumber(ARGV[i + 4]), cost = tonumber(ARGV[i + 5]),
    once = ARGV[i + 6] == '1'}, i + 7
end

-- One number of a cell's text, nil without it: to parse all of it takes long.
local function number_in(text, name)
  return tonumber(string.match(' ' .. text, ' ' .. name .. ' (%S+)'))
end

-- Keeps in the incumbent's cell the bin up to which most of its times lie.
local function find_late(cells, name)
  local text = redis.call('HGET', cells, name)
  local timed = number_in(text, 'timed')
  if timed < LEAST or (timed % LOOK_EVERY > 0 and number_in(text, 'latest')) then return end
  local sums, bins = parsed(text), {}
  for field, count in pairs(sums) do
    local bin = string.match(field, '^s(%d+)$')
    if bin then bins[#bins + 1] = {tonumber(bin), count} end
  end
  table.sort(bins, function(a, b) return a[1] < b[1] end)
  local left = LATE * timed
  for _, bin in ipairs(bins) do
    left = left - bin[2]
    sums.latest = bin[1]
    if left <= 1e-9 then break end
  end
  redis.call('HSET', cells, name, joined(sums))
end

local function count(state, cells, now, part, sums)
  add(state, cells, now, {name = part.name, limit = part.limit, half_life = 0, sums = sums})
end

-- What the incumbent's requests so far say of this one: none of it depends on this one's arm.
local function try(state, cells, now, part)
  local before = redis.call('HGET', cells, part.incumbent) or ''
  local sums = {units = 1, failed = part.failed}
  local latest = number_in(before, 'latest')
  if latest and (part.bin or part.failed > 0) then
    local is_late = part.failed > 0 or part.bin > latest
    sums.compared, sums.late = 1, is_late and 1 or 0
  end
  if part.cost then
    local priced, cost = number_in(before, 'priced'), number_in(before, 'cost')
    if (priced or 0) >= LEAST and cost > 0 then
      local times = math.min(1, part.cost * priced / cost / COST_SPAN)
      sums['c' .. math.floor(COST_STEPS * times + 0.5)] = 1
    end
    sums.priced, sums.cost = 1, part.cost
  end
  local is_timed = part.bin and part.failed == 0 and part.name == part.incumbent
  if is_timed then sums.timed, sums['s' .. part.bin] = 1, 1 end
  count(state, cells, now, part, sums)
  if is_timed and redis.call('HEXISTS', cells, part.name) == 1 then find_late(cells, part.name) end
end

-- The line that tells ratings of a decision whose arm it belongs to.
local function line_of(part)
  return '\n' .. part.name .. '\t' .. part.incumbent .. '\t' .. digits(part.limit)
end

-- Counts the first score of a decision for its arm, if it has one: a line of two names and a limit.
local function rate_arm(state, cells, now, rated, score)
  local name, incumbent, limit = string.match(rated, '\n([^\n\t]+)\t([^\n\t]+)\t(%d+)')
  if not name then return end
  local before = redis.call('HGET', cells, incumbent) or ''
  local sums = {rated = 1, score = score}
  local number = number_in(before, 'rated')
  if (number or 0) >= LEAST then
    local loss = number_in(before, 'score') / number - score
    sums['q' .. math.floor(SCORE_STEPS * loss + 0.5)] = 1
  end
  count(state, cells, now, {name = name, limit = tonumber(limit)}, sums)
end

