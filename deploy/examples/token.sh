#!/bin/sh
# Shows: a shell script that asks the sidecar for the partner's header with curl, calls the partner with it, and after
# a 401 reports the token and tries once more. No token is ever an argument, where every user of the machine sees it.
#
#   sh token.sh                                                over TCP
#   TOKEN_SIDECAR=unix:/run/token-sidecar/sidecar.sock sh token.sh    over a unix socket
#
# TOKEN_SIDECAR         http://host:port or unix:/path of the vending listener (http://127.0.0.1:8181)
# TOKEN_SIDECAR_PROFILE the profile, where the sidecar has several (default)
# TOKEN_SIDECAR_CALLER  a line of the caller token file, where the sidecar wants one
# PARTNER_URL           what to get from the partner
#
# Prints the partner's answer. Exit code 0: the partner answered 2xx; 1: it did not, or there is no token.
set -eu
sidecar=${TOKEN_SIDECAR:-http://127.0.0.1:8181}
profile=${TOKEN_SIDECAR_PROFILE:-default}
partner_url=${PARTNER_URL:-https://api-gateway.carry1st.com/api/pay1st/payments/methods}

# ask PATH [CURL ARGUMENTS]: prints the answer; fails when it is an error, whose problem document goes to stderr.
ask() {
    path=$1
    shift
    case $sidecar in
        unix:*) set -- --unix-socket "${sidecar#unix:}" "http://localhost$path" "$@" ;;
        *) set -- "$sidecar$path" "$@" ;;
    esac
    # printf is a part of the shell, so what it prints is no argument of a process either.
    if ! said=$(printf 'Sidecar-Request: true\n%s' \
        "${TOKEN_SIDECAR_CALLER:+Authorization: Bearer $TOKEN_SIDECAR_CALLER}" |
        curl --silent --show-error --fail-with-body --noproxy '*' --max-time 60 --header @- "$@"); then
        # What answers there may be anything, and this goes to a terminal.
        printf 'no token: %s\n' "$said" | LC_ALL=C tr -cd '\n -~' >&2
        return 1
    fi
    printf '%s\n' "$said"
}

# The header that the partner expects, such as "AccessToken: Bearer ...".
current() {
    headers=$(ask "/v1/authorize/$profile" --include | tr -d '\r')
    # The sidecar names the header where the partner takes another scheme than Bearer, or none.
    named=$(printf '%s\n' "$headers" | sed -n 's/^[Tt]oken-[Hh]eader: //p')
    case $named in
        '') printf '%s\n' "$headers" | grep '^[A-Za-z-]*: Bearer ' ;;
        *) printf '%s\n' "$headers" | grep -F -i "$named: " | grep -v -i '^token-header: ' ;;
    esac
}

# Asks the partner with the header $1: the body goes to the file $answer, the status is printed.
call() {
    printf '%s\n' "$1" |
        curl --silent --show-error --max-time 60 --header @- --output "$answer" --write-out '%{http_code}' "$partner_url"
}

answer=$(mktemp)
report=$(mktemp)
trap 'rm -f "$answer" "$report"' EXIT
trap 'exit 1' HUP INT TERM

header=$(current)
status=$(call "$header")
if [ "$status" = 401 ]; then
    # mktemp's files are for this user alone.
    printf '{"accessToken": "%s"}' "${header##* }" >"$report"
    ask "/v1/token/$profile/rejected" --header 'Content-Type: application/json' --data "@$report" >/dev/null
    next=$(current)
    # The same one again: there is no other now, so the refusal stands.
    [ "$next" = "$header" ] || status=$(call "$next")
fi
cat "$answer"
case $status in 2??) ;; *) echo "the partner answered $status" >&2; exit 1 ;; esac
