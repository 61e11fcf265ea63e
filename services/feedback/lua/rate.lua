-- Keeps one rating of a decision, once, and learns from it if the decision's outcome is known;
-- else that learns from it when it comes.
--
-- KEYS: the state, the cells, the mark of this event, the decision, its ratings, the rater's count,
--   the history.
-- ARGV: how long the mark lives (ms), how long ratings live (ms), most raters of one decision,
--   rater, score, channel for hints, most ratings of one rater in a while, how long that is (ms),
--   how many of these have full weight, tolerance and warm-up of the watch for drift, ratings
--   until one restart for nothing (0: none). A rater who rates again replaces the score; what was
--   learned from the first one stays.
-- Returns 1, 0 if the event was known, -1 if the rater has rated too much for now.
local state, cells, mark, decision, ratings, count, history = unpack(KEYS, 1, 7)
local rater, score = ARGV[4], tonumber(ARGV[5])
if not score or not (score >= 0 and score <= 1) then return redis.error_reply('UNSOUND score') end
redis.call('HLEN', state)
redis.call('HLEN', cells)
if not redis.call('SET', mark, '1', 'NX', 'PX', ARGV[1]) then return 0 end
if redis.call('INCR', count) == 1 then redis.call('PEXPIRE', count, ARGV[8]) end
local number = tonumber(redis.call('GET', count))
if number > tonumber(ARGV[7]) then return -1 end
-- In all at most twice as many as have full weight, however many come.
local weight = math.min(1, (tonumber(ARGV[9]) / number) ^ 2)
local again = redis.call('HEXISTS', ratings, rater) == 1
if not again and redis.call('HLEN', ratings) >= tonumber(ARGV[3]) then return 1 end
local kept = digits(score) .. (weight < 1 and ' ' .. digits(weight) or '')
redis.call('HSET', ratings, rater, kept)
redis.call('PEXPIRE', ratings, ARGV[2])
redis.call('HINCRBY', state, 'num_ratings', 1)
local rated = redis.call('GET', decision)
if again or not rated or frozen(state) then return 1 end
local now = clock()
rate_anew(state, cells, history, now, rated, score, weight, tonumber(ARGV[12]))
local said = {tolerance = tonumber(ARGV[10]), warm_up = tonumber(ARGV[11])}
if weight == 1 then watch_score(state, cells, now, said, rated, score) end
if redis.call('HLEN', ratings) == 1 then rate_arm(state, cells, now, rated, score) end
versioned(state, now, ARGV[6])
return 1
