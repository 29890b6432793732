-- One gate's state, read and changed in one step, so that all processes share it: `domain/gate.py` in Lua.
-- KEYS: the gate, the set of gates whose circuit is open.
-- ARGV: "enter" | "leave", the time in ms (0: this server's), the ticket, then what the step needs, as numbers.
local FAILURES, FIRST_PAUSE, LONGEST_PAUSE, FIRST_SLOW, LOOK_AGAIN, HOUR, HOURS = 5, 5000, 60000, 2000, 1000, 3600000, 24
local FORGET = (HOURS + 1) * HOUR

local now, ticket = tonumber(ARGV[2]), ARGV[3]
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local raw = redis.call('GET', KEYS[1])
local state = raw and cjson.decode(raw) or {
  leases = {}, spent = {}, left = -1, left_until = 0, shut_until = 0, slowed = 0,
  failures = 0, since = 0, open_until = 0, opened = 0, probe = '',
}

local function keep()
  redis.call('SET', KEYS[1], cjson.encode(state), 'PX', FORGET)
end

local function without(lapsed)
  local under_way = 0
  for held, ends in pairs(state.leases) do
    if ends <= now or held == lapsed then state.leases[held] = nil else under_way = under_way + 1 end
  end
  return under_way
end

if ARGV[1] == 'enter' then
  local urgent, cost, lease = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])
  local slots, kept_slots, credits, kept_credits =
    tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
  local under_way, hour, used = without(nil), math.floor(now / HOUR), 0
  for at, many in pairs(state.spent) do
    if tonumber(at) < hour - HOURS then state.spent[at] = nil else used = used + many end
  end
  if not state.leases[state.probe] then state.probe = '' end

  local why, wait = '', 0
  local room = urgent and slots or math.max(1, slots - kept_slots)
  local free = credits > 0 and credits - used or math.huge
  if state.left >= 0 and state.left_until > now then free = math.min(free, state.left) end
  if state.open_until > now then
    why, wait = 'silent', state.open_until - now
  elseif state.open_until > 0 and state.probe ~= '' then
    why, wait = 'silent', math.min(state.leases[state.probe] - now, LOOK_AGAIN)
  elseif state.shut_until > now then
    why, wait = 'slowed', state.shut_until - now
  elseif slots > 0 and under_way >= room then
    why = 'full'
  elseif cost > math.max(0, free - (urgent and 0 or kept_credits)) then
    why, wait = 'spent', HOUR - now % HOUR
  else
    state.leases[ticket] = now + lease
    local name = string.format('%d', hour)
    state.spent[name] = (state.spent[name] or 0) + cost
    if state.left >= 0 then state.left = math.max(0, state.left - cost) end
    state.probe = state.open_until > 0 and ticket or ''
  end
  keep()
  return {why, wait}
end

local how, slow, left = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local looked, turn, since = state.probe ~= '' and state.probe == ticket, '', state.since
without(ticket)
if looked then state.probe = '' end
if left >= 0 then state.left, state.left_until = left, now + HOUR end
if slow >= 0 then
  local pause = slow > 0 and slow or math.min(FIRST_SLOW * 2 ^ state.slowed, LONGEST_PAUSE)
  state.shut_until = math.max(state.shut_until, now + pause)
  state.slowed = math.min(state.slowed + 1, 5)
elseif how == 'answered' then
  state.slowed = 0
end
if how == 'answered' then
  if state.open_until > 0 then turn = 'closed' end
  state.failures, state.since, state.open_until, state.opened, state.probe = 0, 0, 0, 0, ''
elseif how == 'failed' then
  state.failures = state.failures + 1
  if state.since == 0 then state.since = now end
  since = state.since
  if state.open_until > 0 then
    if looked then
      state.open_until = now + math.min(FIRST_PAUSE * 2 ^ math.min(state.opened, 5), LONGEST_PAUSE)
      state.opened = state.opened + 1
    end
  elseif state.failures >= FAILURES then
    state.open_until, state.opened, turn = now + FIRST_PAUSE, 1, 'opened'
  end
end
if turn == 'opened' then redis.call('SADD', KEYS[2], KEYS[1]) end
if turn == 'closed' then redis.call('SREM', KEYS[2], KEYS[1]) end
keep()
return {turn, since}
