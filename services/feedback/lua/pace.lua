-- Leads the pressure of a budget: an answer's cost is counted, and each batch of answers is a step.

local PACE = {'cost', 'target', 'gain', 'max_step', 'max_pressure', 'min_answers'}

-- What place i of ARGV says of an answer's cost, false if nothing (an empty name); and the place
-- after it. Nil, and a name, if it is not sound.
local function cost_of(i)
  local said = {name = ARGV[i]}
  if said.name == '' then return false, i + 1 end
  for place, name in ipairs(PACE) do
    said[name] = tonumber(ARGV[i + place])
    if not sound(said[name]) then return nil, said.name end
  end
  return said, i + 1 + #PACE
end

-- One step of dual ascent once there are answers enough; see tiercel/routing/pacing.py.
local function pace(cells, now, said)
  local sums = parsed(redis.call('HGET', cells, said.name))
  sums.answers, sums.cost = (sums.answers or 0) + 1, (sums.cost or 0) + said.cost
  if sums.answers >= said.min_answers then
    local move = said.gain * (sums.cost / sums.answers / said.target - 1)
    move = math.max(-said.max_step, math.min(said.max_step, move))
    sums.pressure = math.min(said.max_pressure, math.max(0, (sums.pressure or 0) + move))
    sums.answers, sums.cost, sums.steps = 0, 0, (sums.steps or 0) + 1
  end
  sums.at = now
  redis.call('HSET', cells, said.name, joined(sums))
end

