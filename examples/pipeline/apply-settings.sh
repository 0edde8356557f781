#!/bin/sh
# Puts a settings document into a deployment: tries it out, and saves it only when every step of the test has succeeded.
# What is in the repository wins over what somebody has changed elsewhere. Ends with 3 when the test fails, 4 when the
# document is refused, 5 when the sign-in is; `npx rollcall --help` has the others.
#
#   examples/pipeline/apply-settings.sh settings.json
#
#   ROLLCALL_URL, ROLLCALL_USER, ROLLCALL_PASSWORD  the deployment, and an administrator of it
#   BIND_PASSWORD                                   of the directory; the document need not hold it
set -eu

: "${ROLLCALL_URL:?}" "${ROLLCALL_USER:?}" "${ROLLCALL_PASSWORD:?}" "${BIND_PASSWORD:?}"
settings=$(realpath "$1")

# The command line of this checkout. --no: where it is missing, npx must not fetch whatever has this name elsewhere.
cd "$(dirname "$0")/../.."
rollcall() { npx --no -- rollcall "$@" --url "$ROLLCALL_URL"; }

# The session is kept where nobody else can read it, and ends with this script.
umask 077
folder=$(mktemp -d)
export XDG_CONFIG_HOME="$folder"
finish() {
  [ ! -e "$folder/rollcall" ] || rollcall logout || :
  rm -rf "$folder"
}
trap finish EXIT
trap 'exit 143' HUP INT TERM

# Passwords travel by standard input: arguments are there for everybody who may list processes.
printf '%s\n' "$ROLLCALL_PASSWORD" | rollcall login --user "$ROLLCALL_USER"

tested=0
printf '%s\n' "$BIND_PASSWORD" | rollcall settings test "$settings" --ask-password >"$folder/test" || tested=$?
# What follows this line is names and addresses of people, which a build log should not keep.
sed '/ people found/q' "$folder/test"
[ "$tested" -eq 0 ] || exit "$tested"

printf '%s\n' "$BIND_PASSWORD" | rollcall settings set "$settings" --ask-password
