-- Bets that a mean lies above a bound: see drift.py, and tiercel/strictness/detection.py.

local STAKES = {0.9, 0.45, 0.22, 0.11, 0.05, 0.02}
local MOST = 1e100

-- Begun anew at each value, so that they need not know when it changed (Shiryaev-Roberts).
local function bet(sums, side, value, bound)
  for number, stake in ipairs(STAKES) do
    local name = side .. number
    local won = (1 + (sums[name] or 0)) * (1 + stake / bound * (value - bound))
    sums[name] = math.min(MOST, won)
  end
end

local function mean_won(sums, side)
  local total = 0
  for number = 1, #STAKES do total = total + (sums[side .. number] or 0) end
  return total / #STAKES
end

