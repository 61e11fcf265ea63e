-- Drops ratings of before a root's answers became better or worse. Replays, which have no store, do
-- the same by tiercel/evaluation/learning/restarts.py.

local STAKE, LEAST_DOUBT, SCORE_DEVIATION, PRIOR_RATINGS = 0.9, 0.02, 0.5, 4
local SIDES = {up = 1, down = -1}
local RATED = {'ratings', 'score', 'squares', 'predicted', 'expected', 'predicted_score'}

local function watch_of(name) return '["restart",' .. string.sub(name, 12) end

local function faded(cells, name, now, half_life)
  local sums = parsed(redis.call('HGET', cells, name))
  local kept = share_kept(sums, now, half_life)
  for field, value in pairs(sums) do sums[field] = value * kept end
  return sums
end

-- The score that ratings so far let expect of the answer, and of how many that is the mean; what is
-- known of its kind is drawn to what is known of all. Nil if nothing is.
local function likely(all, own, expected)
  local number, total, least = 'ratings', 'score', 0
  if expected and (all.predicted or 0) > 0 then
    number, least = 'predicted', expected
    for _, sums in ipairs({all, own}) do
      sums.excess = (sums.predicted_score or 0) - (sums.expected or 0)
    end
    total = 'excess'
  end
  if (all[number] or 0) <= 0 then return end
  local whole = PRIOR_RATINGS * all[total] / all[number] + (own[total] or 0)
  local mean = least + whole / (PRIOR_RATINGS + (own[number] or 0))
  return math.max(0, math.min(1, mean)), all[number]
end

-- Two bets that the mean has moved (Page 1954), and for each the sums since it last began to win.
-- Returns the sums since the mean moved, and whether up or down, if one has won the threshold; the
-- bets begin anew then.
local function see(cells, now, seen, name)
  local sums = parsed(redis.call('HGET', cells, name))
  local since, winner = {}, nil
  local kept = share_kept(sums, now, seen.half_life)
  for side, sign in pairs(SIDES) do
    local gain = (sign * seen.residual - seen.tolerance) / (1 + seen.tolerance)
    local won = math.max(1, sums[side] or 1) * (1 + seen.weight * STAKE * gain)
    sums[side], since[side] = won, {}
    for _, field in ipairs(RATED) do
      local place, delta = side .. ':' .. field, seen.sums[field]
      local total = (delta or sums[place]) and kept * (sums[place] or 0) + (delta or 0)
      sums[place] = won > 1 and total or nil
      since[side][field] = sums[place]
    end
    if won >= seen.threshold and won > (sums[winner] or 0) then winner = side end
  end
  sums.at = now
  if winner then redis.call('HDEL', cells, name) else redis.call('HSET', cells, name, joined(sums)) end
  return winner and since[winner], winner
end

-- What came before counts no more, of a kind nor, of that kind, among all; or of all and so of each.
local function drop(cells, now, name, whole, since, half_life)
  local before = faded(cells, name, now, half_life)
  since.at = now
  redis.call('HSET', cells, name, joined(since))
  if name ~= whole then
    local all = faded(cells, whole, now, half_life)
    for _, field in ipairs(RATED) do
      local left = (all[field] or 0) - (before[field] or 0) + (since[field] or 0)
      all[field] = all[field] and math.max(0, left)
    end
    all.at = now
    redis.call('HSET', cells, whole, joined(all))
    redis.call('HDEL', cells, watch_of(whole))  -- what its bets had won was this kind's change
    return
  end
  local beginning = string.sub(whole, 1, -4)
  for _, other in ipairs(redis.call('HKEYS', cells)) do
    local is_of_root = string.sub(other, 1, #beginning) == beginning
    if is_of_root and other ~= whole then redis.call('HDEL', cells, other, watch_of(other)) end
  end
end

-- What a rating is beside what was expected, and which cells it concerns, those of all kinds first.
-- Nil where nothing is expected, or nothing is watched.
local function seen_of(cells, now, rated, score, weight, run_length)
  local half_life, limit, said, rest = string.match(rated, '^(%S+) (%S+) ?(%S*)\n(.*)$')
  local seen = {half_life = tonumber(half_life), limit = tonumber(limit), weight = weight}
  for name in string.gmatch(rest or '', '[^\n]+') do
    if not string.find(name, '\t', 1, true) then seen[#seen + 1] = name end
  end
  if #seen == 0 or not (run_length > 0) then return end
  local all = faded(cells, seen[1], now, seen.half_life)
  local own = faded(cells, seen[#seen], now, seen.half_life)
  local mean, number = likely(all, own, tonumber(said))
  if not mean then return end
  seen.residual, seen.threshold = score - mean, 2 * run_length
  seen.tolerance = math.max(LEAST_DOUBT, SCORE_DEVIATION / math.sqrt(number))
  seen.sums = rating_sums(score, weight, tonumber(said))
  return seen
end

local function dropped(name, since, side)
  local root, kind = string.match(name, '^%["quality","(.*)","(.*)"%]$')
  local about = kind == '' and 'all kinds' or 'kind ' .. kind
  return string.format(
    'ratings of %s, requests of %s, from before they went %s: the last %.0f have a mean of %.3f',
    root, about, side, since.ratings, since.score / since.ratings)
end

-- Adds a score to what is rated, and drops what came before if the answers are others now.
local function rate_anew(state, cells, history, now, rated, score, weight, run_length)
  local seen = seen_of(cells, now, rated, score, weight, run_length)
  rate(state, cells, now, rated, score, weight)
  for _, name in ipairs(seen or {}) do
    local place = watch_of(name)
    local is_kept = redis.call('HEXISTS', cells, place) == 1
    if is_kept or room(state, cells, now, {limit = seen.limit, half_life = 0}) then
      local since, side = see(cells, now, seen, place)
      if since then
        local version = tonumber(redis.call('HGET', state, 'version') or '0') + 1
        note(history, version, now, 'a guardrail', 'restarted', dropped(name, since, side))
        drop(cells, now, name, seen[1], since, seen.half_life)
        return
      end
    end
  end
end
