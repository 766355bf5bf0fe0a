#!/bin/sh
# Shows: a shell script that creates a payment with curl through the sidecar's gateway: no token, no key and no secret.
#
#   sh pay_gateway.sh order-4711
#
# The argument is the payment's partnerReference, of letters, digits, "-" and "_". Store it before the first attempt, and
# never pay the same order under another one: the partner takes a reference once, so a repeated request cannot become a second
# payment.
#
# TOKEN_SIDECAR_GATEWAY  http://host:port of the gateway (http://127.0.0.1:8282)
# TOKEN_SIDECAR_CALLER   a line of the caller token file, where the sidecar wants one
#
# Needs curl 7.84. Prints the partner's answer. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
set -eu
gateway=${TOKEN_SIDECAR_GATEWAY:-http://127.0.0.1:8282}
reference=$1
payment='{"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": "'$reference'"}'
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT
trap 'exit 1' HUP INT TERM

# Prints "STATUS|SIDECAR-ANSWER|SIDECAR-TOKEN|RETRY-AFTER"; the body goes to the file $answer.
create() {
    # printf is a part of the shell, so the caller token is no argument of a process. --max-time: longer than
    # SIDECAR_GATEWAY_TIMEOUT_S, so that the gateway says what became of the request.
    printf 'Sidecar-Request: true\n%s' "${TOKEN_SIDECAR_CALLER:+Authorization: Bearer $TOKEN_SIDECAR_CALLER}" |
        curl --silent --show-error --noproxy '*' --max-time 60 --header @- --output "$answer" \
            --header 'Content-Type: application/vnd.carry1st.payments.payment+json' --data-binary "$payment" \
            --write-out '%{http_code}|%header{sidecar-answer}|%header{sidecar-token}|%header{retry-after}' \
            "$gateway/api/pay1st/payments/create"
}

known=yes
for attempts_left in 3 2 1 0; do
    : >"$answer"
    curl_code=0
    said=$(create) || curl_code=$?
    case $curl_code:$said in
        0:2??\|*) cat "$answer"; exit 0 ;;
        # No connection, or nothing was sent, or a new token is there, or too many calls.
        7:* | 0:50[23]\|sidecar\|* | 0:*\|replaced\|* | 0:429\|*) ;;
        # Such as 504 partner-outcome-unknown, a 5xx of the partner, or a connection that broke.
        0:5??\|* | [1-9]*:*) known=no ;;
        *) attempts_left=0 ;;
    esac
    # What answers there may be anything, and this goes to a terminal.
    { printf '%s ' "${said%%|*}"; cat "$answer"; } | LC_ALL=C tr -cd ' -~' >&2
    echo >&2
    [ "$attempts_left" != 0 ] || break
    case ${said##*|} in '' | *[!0-9]*) sleep 1 ;; *) sleep "${said##*|}" ;; esac
done
[ "$known" = no ] || exit 1
echo "$reference may exist: look for its webhook, and do not pay under another reference" >&2
exit 3
