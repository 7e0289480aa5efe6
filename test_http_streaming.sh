#!/usr/bin/env bash
# Walks the six endpoints of a gateway with curl, as a client would, calls it with one streamed request as well, and says
# what passed.
#
#   ./test_http_streaming.sh
#   BASE_URL=https://gateway.example.com W3_VOICE_GATEWAY_API_KEY=… ./test_http_streaming.sh [recording.wav]
#
# Needs bash, curl and base64. The recording is 16 kHz mono PCM16; the one that ships is played when none is named.
# Exits with the number of checks that failed.
set -u

BASE_URL="${BASE_URL:-http://127.0.0.1:3105}"
KEY="${W3_VOICE_GATEWAY_API_KEY:-}"
SECONDS_OF_AUDIO="${SECONDS_OF_AUDIO:-9}"
here="$(cd "$(dirname "$0")" && pwd)"
recording="${1:-$here/fixtures/calls/order-status-16k.wav}"
call="smoke-$$-$(date +%s)"
failed=0

if [ ! -r "$recording" ]; then
  echo "the recording $recording cannot be read" >&2
  exit 2
fi
work="$(mktemp -d)"
poller=""
trap '[ -z "$poller" ] || kill "$poller" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The key goes through a file: arguments can be read by every user of the machine.
headers="$work/headers"
(umask 077 && printf 'Accept: application/json\n' >"$headers")
if [ -n "$KEY" ]; then printf 'X-API-Key: %s\n' "$KEY" >>"$headers"; fi

# request METHOD PATH [JSON]: the answer's body is in $body, its status in $status.
request() {
  local method="$1" path="$2"
  local arguments=(-sS --max-time 30 -X "$method" -H "@$headers" -o "$work/body" -w '%{http_code}')
  if [ $# -gt 2 ]; then
    printf '%s' "$3" >"$work/request"
    arguments+=(-H 'Content-Type: application/json' --data-binary "@$work/request")
  fi
  status="$(curl "${arguments[@]}" "$BASE_URL$path" 2>"$work/problem")" || status="000"
  body="$(cat "$work/body" 2>/dev/null)"
  if [ "$status" = "000" ]; then body="$(cat "$work/problem")"; fi
}

# check NAME STATUS PATTERN: compares what `request` left.
check() {
  if [ "$status" = "$2" ] && [[ "$body" =~ $3 ]]; then
    echo "passed  $1"
  else
    failed=$((failed + 1))
    echo "FAILED  $1: HTTP $status, ${body:0:300}"
  fi
}

echo "Gateway $BASE_URL, call $call"

request POST /api/voice/session/create "{\"callId\":\"$call\",\"callerNumber\":\"393297626144\",\"did\":\"5406594427\"}"
check "create a session" 200 "\"sessionId\":\"$call\",\"status\":\"created\""
if [ "$status" != 200 ]; then
  echo "nothing else can be tried without a session"
  exit "$failed"
fi
request POST /api/voice/session/create "{\"callId\":\"$call\"}"
check "create it again" 200 '"status":"existing"'

request GET "/api/voice/session/$call"
check "look at it" 200 "\"callId\":\"$call\".*\"status\":\"active\""

request GET /api/voice/sessions
check "list sessions" 200 "\"callId\":\"$call\""

# The caller talks in real time, ten chunks a second, while the reply is polled.
: >"$work/replies"
(
  while [ ! -e "$work/stop" ]; do
    curl -sS --max-time 30 -H "@$headers" "$BASE_URL/api/voice/stream/$call/response?timeout=1000" >>"$work/replies" 2>/dev/null || sleep 0.2
    echo >>"$work/replies"
  done
) &
poller=$!
streamed=0
refused=""
chunks=$((SECONDS_OF_AUDIO * 10))
for ((n = 0; n < chunks; n++)); do
  # 44 bytes of header, then 3200 bytes a chunk.
  audio="$(tail -c "+$((45 + n * 3200))" "$recording" | head -c 3200 | base64 | tr -d '\n')"
  [ -n "$audio" ] || break
  request POST "/api/voice/stream/$call" "{\"audio\":\"$audio\",\"chunkSeq\":$n}"
  if [ "$status" = 200 ] && [[ "$body" == *'"status":"streamed"'* ]]; then
    streamed=$((streamed + 1))
  else
    refused="${refused:-HTTP $status, $body}"
  fi
  sleep 0.07
done
body="$refused"
status=$([ -z "$refused" ] && echo 200 || echo 500)
check "stream $streamed chunks of audio" 200 '^$'
sleep 3
touch "$work/stop"
wait "$poller"
poller=""

replies="$(cat "$work/replies")"
status=200
body="$replies"
check "hear the agent" 200 '"audio":"[A-Za-z0-9+/]{100}'
body="$(grep -o '"transcript":"[^"]*"' "$work/replies" | head -n 5)"
check "read what was said" 200 '\[(AI|User)\]: '
[ -z "$body" ] || sed 's/^"transcript":/        /' <<<"$body"

request POST "/api/voice/stream/$call" "{\"audio\":\"this is not base64!\",\"chunkSeq\":$n}"
check "have bad audio refused" 400 '"status":"invalid_audio"'

request POST "/api/voice/session/$call/end"
check "end the session" 200 '"status":"ended","summary":\{'

request GET "/api/voice/stream/$call/response?timeout=0"
check "be told that it is over" 200 '"hasMore":false'

request POST /api/voice/stream/no-such-call-"$$" '{"audio":"AAAA"}'
check "be told of an unknown call" 404 '"status":"session_not_found"'

# The same call in one request: its body is what the caller says, its answer what the agent does, silence included.
spoken() {
  for ((n = 0; n < chunks; n++)); do
    tail -c "+$((45 + n * 3200))" "$recording" | head -c 3200
    sleep 0.09
  done
  sleep 1
}
streamed="$call-streamed"
status="$(spoken | curl -sSN --max-time 300 -X POST -T - -H "@$headers" -H 'Content-Type: audio/pcm;rate=16000' \
  -D "$work/head" -o "$work/heard" -w '%{http_code}' \
  "$BASE_URL/api/voice/stream/$streamed/duplex?create=1&callerNumber=393297626144" 2>"$work/problem")" || status="000"
if [ "$status" = 200 ]; then
  body="$(tr -d '\r' <"$work/head" 2>/dev/null)"
else
  body="$(cat "$work/problem" "$work/heard" 2>/dev/null)"
fi
check "call with one streamed request" 200 '[Xx]-[Cc]all-[Ii]d: '"$streamed"
check "be told how far ahead its audio is" 200 '[Xx]-[Ll]ead-[Mm]s: [0-9]+'
# 32 bytes a millisecond; what the gateway still had to say when the caller hung up is not missed.
heard_ms=$(($(wc -c <"$work/heard" 2>/dev/null || echo 0) / 32))
sound=$(tr -d '\000' <"$work/heard" 2>/dev/null | wc -c)
body="$heard_ms ms, $((sound)) bytes of sound"
if [ "$status" = 200 ] && { [ "$heard_ms" -lt $((chunks * 80)) ] || [ "$sound" -lt 10000 ]; }; then status="$status, too little"; fi
check "hear the agent in its answer ($heard_ms ms)" 200 'bytes of sound'
request POST "/api/voice/session/$streamed/end"
check "have it ended with its request" 200 '"status":"ended","summary":\{'

if [ "$failed" -eq 0 ]; then echo "All passed."; else echo "$failed failed."; fi
exit "$failed"
