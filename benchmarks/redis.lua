-- Transfers, one or many: overdraft-checked, exactly once, a posting for each leg.
-- KEYS: for each, the accounts of source and destination, the command. ARGV: the amounts, or one for all.
local function transfer(source, destination, command, amount)
    local known = redis.call('GET', command)
    if known then
        return known
    end
    local balance = redis.call('GET', source)
    if tonumber(balance) < tonumber(amount) then
        redis.call('SET', command, 'INSUFFICIENT_FUNDS')
        return 'INSUFFICIENT_FUNDS'
    end
    redis.call('DECRBY', source, amount)
    redis.call('INCRBY', destination, amount)
    redis.call('SET', command, 'OK')
    redis.call('RPUSH', 'posting/' .. source, command, '-' .. amount)
    redis.call('RPUSH', 'posting/' .. destination, command, amount)
    return 'OK'
end

-- A script that fails keeps what it has done: so first, whether all accounts are there.
for first = 1, #KEYS, 3 do
    if redis.call('EXISTS', KEYS[first]) == 0 or redis.call('EXISTS', KEYS[first + 1]) == 0 then
        return redis.error_reply('there is no such account')
    end
end
local outcomes = {}
for first = 1, #KEYS, 3 do
    local number = #outcomes + 1
    outcomes[number] = transfer(KEYS[first], KEYS[first + 1], KEYS[first + 2], ARGV[number] or ARGV[1])
end
return outcomes
