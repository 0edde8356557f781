#!/bin/sh
# A session with the administration API by curl alone: signs in, reads the settings, starts a dry run, waits for its
# end, reads page by page what it would do, searches for users, and signs out.
#
#   examples/session.sh [beginning of a user name, or a whole e-mail address]
#
#   ROLLCALL_URL       address of the deployment, http://127.0.0.1:8080 unless told
#   ROLLCALL_USER      an administrator, admin unless told
#   ROLLCALL_PASSWORD  asked for, or read from standard input, unless told
#
# Documents go to standard output, one a line, for jq or for a file; everything else to standard error.
set -eu

url=${ROLLCALL_URL:-http://127.0.0.1:8080}
user=${ROLLCALL_USER:-admin}
search=${1:-}

case $url in
  https://* | http://127.0.0.1:* | http://localhost:*) ;;
  *) echo "session.sh: $url is not https: the password would cross the network for everybody to read" >&2; exit 2 ;;
esac

# The session's token is as good as the password while it lasts: a folder that nobody else can read, removed at the end.
umask 077
folder=$(mktemp -d)
: >"$folder/authorization"
finish() {
  [ ! -t 0 ] || stty echo
  [ ! -s "$folder/authorization" ] ||
    curl -sS -X DELETE -H "@$folder/authorization" --max-time 35 "$url/api/session" >&2 || :
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

# call METHOD PATH [options of curl]: puts the answer into $folder/answer. Whatever is no success ends the script.
call() {
  method=$1 path=$2
  shift 2
  status=$(curl -sS -X "$method" -H "@$folder/authorization" -o "$folder/answer" -w '%{http_code}' --max-time 35 \
    "$@" "$url$path") || exit 1
  case $status in
    2*) ;;
    *)
      echo "session.sh: $method $path was answered with $status:" >&2
      # A problem document (RFC 9457): detail, code and often an advice.
      cat "$folder/answer" >&2
      echo >&2
      exit 1
      ;;
  esac
}

show() {
  echo "$1:" >&2
  cat "$folder/answer"
  echo
}

# field NAME: a string of the answer, without quotes in it as tokens, ids and cursors are; nothing for null.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$folder/answer"; }

# A text as a JSON string.
quote() { printf '"%s"' "$(printf %s "$1" | sed 's/["\\]/\\&/g')"; }

password=${ROLLCALL_PASSWORD:-}
if [ -z "$password" ]; then
  [ ! -t 0 ] || { printf 'Password of %s: ' "$user" >&2; stty -echo; }
  IFS= read -r password || :
  [ ! -t 0 ] || { stty echo; echo >&2; }
fi

# By standard input: whoever may list processes sees the arguments of all of them.
printf '{"userName":%s,"password":%s}' "$(quote "$user")" "$(quote "$password")" |
  call POST /api/session -H 'Content-Type: application/json' --data-binary @-
printf 'Authorization: Bearer %s\n' "$(field token)" >"$folder/authorization"

call GET /api/settings
show 'Settings'

call POST /api/sync -H 'Content-Type: application/json' -d '{"dryRun":true}'
run=$(field runId)
echo "Run $run has been started ..." >&2
while
  call GET "/api/runs/$run"
  [ "$(field status)" = running ]
do
  sleep 1
done
show 'The dry run'

next=
while
  call GET "/api/runs/$run/changes" --get -d limit=100 ${next:+--data-urlencode "next=$next"}
  show 'What it would do'
  next=$(field next)
  [ -n "$next" ]
do :; done

call GET /api/users --get -d limit=10 ${search:+--data-urlencode "search=$search"}
show 'Users'
