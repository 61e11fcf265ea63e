-- Keeps one rating of a decision, once.
--
-- KEYS: the state, the ratings of the decision, the mark of this event.
-- ARGV: how long the mark lives (ms), how long ratings live (ms), most raters of one decision,
--   rater, score. A rater who rates again replaces the score.
-- Returns 1, or 0 if the event was known.
local state, ratings, mark = KEYS[1], KEYS[2], KEYS[3]
local rater, score = ARGV[4], tonumber(ARGV[5])
if not score or not (score >= 0 and score <= 1) then return redis.error_reply('UNSOUND score') end
if not redis.call('SET', mark, '1', 'NX', 'PX', ARGV[1]) then return 0 end
if redis.call('HEXISTS', ratings, rater) == 1
  or redis.call('HLEN', ratings) < tonumber(ARGV[3]) then
  redis.call('HSET', ratings, rater, string.format('%.17g', score))
  redis.call('PEXPIRE', ratings, ARGV[2])
end
redis.call('HINCRBY', state, 'num_ratings', 1)
return 1
