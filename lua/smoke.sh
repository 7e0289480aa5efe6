#!/usr/bin/env bash
# Places one call on this FreeSWITCH to the AI agent's number, plays a recorded caller into it, records both directions,
# and says whether audio went both ways. Run it on the FreeSWITCH host, as a user who may use fs_cli.
#
#   lua/smoke.sh                                    calls 5406594427 in the context "public" over a loopback channel
#   lua/smoke.sh -n 9000 -c default                 another number, another context
#   lua/smoke.sh -d sofia/external/9000@10.0.0.5:5080    over SIP instead, as a trunk would
#
#   -g URL     the gateway, to ask it what it heard (default http://127.0.0.1:3105); the key comes from W3_API_KEY
#   -w FILE    what the caller says: PCM16 WAV that FreeSWITCH can read (default: a recording beside this script)
#   -t SEC     longest call (default 30)
#   -f CMD     how to run fs_cli (default "fs_cli"), e.g. "fs_cli -H 10.0.0.5 -p secret"
#
# Exit status: 0 audio went both ways, 1 it did not, 2 the call could not be placed.

set -uo pipefail

number=5406594427
context=public
dial=
gateway=http://127.0.0.1:3105
wav=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/fixtures/calls/opening-hours-8k.wav
longest=30
fs_cli=fs_cli

usage() { sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

while getopts n:c:d:g:w:t:f:h option; do
  case $option in
    n) number=$OPTARG ;;
    c) context=$OPTARG ;;
    d) dial=$OPTARG ;;
    g) gateway=${OPTARG%/} ;;
    w) wav=$OPTARG ;;
    t) longest=$OPTARG ;;
    f) fs_cli=$OPTARG ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

stop() { echo "cannot test: $*" >&2; exit 2; }
note() { echo "  $*"; }

# An operator's fs_cli may come with options, so it is split into words.
fs() { $fs_cli -x "$1" 2>/dev/null; }

ask_gateway() {
  local headers=(-H 'content-type: application/json')
  # From a file descriptor, so that the key is not among the arguments that others on the machine see.
  curl -sS --max-time 5 "${headers[@]}" ${W3_API_KEY:+-H @<(printf 'X-API-Key: %s' "$W3_API_KEY")} "$@" 2>/dev/null
}

[[ $longest =~ ^[0-9]+$ ]] || stop "-t is \"$longest\", but must be a number of seconds"
[[ -r $wav ]] || stop "$wav cannot be read"
[[ $wav != *[,\ \']* ]] || stop "the name of $wav has a comma, a blank or a quote in it"
fs status | grep -q UP || stop "\"$fs_cli\" does not reach a FreeSWITCH"

echo "FreeSWITCH"
for module in mod_lua mod_curl mod_native_file mod_sndfile mod_loopback; do
  [[ $(fs "module_exists $module") == true* ]] || stop "$module is not loaded: fs_cli -x 'load $module'"
done
note "reached, and the modules are loaded"

echo "gateway"
if ! command -v curl >/dev/null; then
  note "not asked, because curl is not installed"
elif health=$(ask_gateway "$gateway/health") && [[ $health == *'"status":"ok"'* ]]; then
  note "$health"
else
  note "$gateway/health does not answer \"ok\": ${health:-nothing}"
fi

# FreeSWITCH, another user perhaps, writes the recording there.
folder=$(mktemp -d /tmp/ai-smoke.XXXXXX) || stop "no temporary folder"
chmod 0777 "$folder"
recording=$folder/call.wav
a_leg=
codec_before=

# shellcheck disable=SC2317  # called by the trap
cleanup() {
  [[ -z $a_leg ]] || fs "uuid_kill $a_leg" >/dev/null
  [[ -n $dial ]] || fs "global_setvar loopback_initial_codec=$codec_before" >/dev/null
  rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 2' INT TERM

# A loopback channel is L16 unless this global variable names another codec while it is made. It is put back at once.
if [[ -z $dial ]]; then
  codec_before=$(fs "global_getvar loopback_initial_codec")
  [[ $codec_before != -ERR* ]] || codec_before=
  fs "global_setvar loopback_initial_codec=PCMU" >/dev/null
fi
target=${dial:-loopback/$number/$context}
echo "call to $target"
answer=$(fs "originate {absolute_codec_string=PCMU,RECORD_STEREO=true,loopback_bowout=false,originate_timeout=15}$target \
'set:enable_file_write_buffering=false,record_session:$recording,playback:$wav,sleep:2000,hangup' inline")
[[ -n $dial ]] || fs "global_setvar loopback_initial_codec=$codec_before" >/dev/null
[[ $answer == *+OK* ]] || stop "originate says \"${answer//$'\n'/ }\"; is the number in the dialplan of that context?"
a_leg=$(sed -n 's/.*+OK \([0-9a-f-]*\).*/\1/p' <<<"$answer")
call_id=$(fs "uuid_getvar $a_leg other_loopback_leg_uuid")
[[ $call_id =~ ^[0-9a-f-]{36}$ ]] || call_id=
note "answered${call_id:+; the gateway knows it as $call_id}"

for ((second = 0; second < longest; second++)); do
  [[ $(fs "uuid_exists $a_leg") == true* ]] || break
  sleep 1
done
fs "uuid_kill $a_leg" >/dev/null
a_leg=
note "over after $second s"
sleep 1

# Left is what the caller heard, right what the caller said: seconds in which either was louder than -40 dBFS.
[[ -s $recording ]] || stop "FreeSWITCH has written no recording to $folder"
read -r heard said < <(od -An -v --endian=little -t d2 -w4 -j 44 "$recording" | awk '
  { left += $1 * $1; right += $2 * $2; n++ }
  n == 1600 { heard += left / n > 327 * 327; said += right / n > 327 * 327; left = right = n = 0 }
  END { printf "%.1f %.1f\n", heard / 5, said / 5 }')

echo "what went where"
note "the caller spoke for $said s and heard sound for $heard s"
to_caller=no
awk "BEGIN { exit !($heard >= 1) }" && to_caller=yes

to_agent=unknown
if [[ -n $call_id ]] && command -v curl >/dev/null; then
  # Ending an ended call only repeats its summary.
  summary=$(ask_gateway -X POST -d '{}' "$gateway/api/voice/session/$call_id/end")
  case $summary in
    *'[User]: '*)
      to_agent=yes
      lines=${summary#*\"transcript\":[}
      note "the gateway's transcript: ${lines%%],\"actions\"*}"
      ;;
    *'"transcript"'*) to_agent=no; note "the gateway has no word of the caller: $summary" ;;
    *) note "the gateway does not tell: ${summary:-no answer}" ;;
  esac
fi

echo "agent to caller: $to_caller; caller to agent: $to_agent"
[[ $to_agent != unknown ]] || echo "(listen to the answer the agent gives, or give -g and W3_API_KEY and leave -d out)"
[[ $to_caller == yes && $to_agent != no ]] && exit 0
echo "the log of FreeSWITCH has lines with [ai ...]; docs/freeswitch.md says what they mean" >&2
exit 1
