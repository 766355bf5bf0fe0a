#!/bin/sh
# Shows: a shell script that has a payment signed by the sidecar's /v1/sign, and sends it to the partner itself, with curl.
#
#   sh pay_sign.sh order-4711
#
# The argument is the payment's partnerReference, of letters, digits, "-" and "_". Store it before the first attempt, and
# never pay the same order under another one: the partner takes a reference once, so a repeated request cannot become a second
# payment.
#
# TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
# TOKEN_SIDECAR_CALLER  a line of the caller token file, where the sidecar wants one
# PARTNER               the partner's base URL
#
# Needs curl 7.84. Prints the partner's answer. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
set -eu
sidecar=${TOKEN_SIDECAR:-http://127.0.0.1:8181}
partner=${PARTNER:-https://api-gateway.carry1st.com}
reference=$1
# Its files are for this user alone, and no token is an argument of a process.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
printf '{"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": "%s"}' "$reference" >"$folder/payment"

# post OUTPUT CURL-ARGUMENTS: prints "STATUS|RETRY-AFTER"; the body goes to the file OUTPUT.
post() {
    output=$1
    shift
    curl --silent --show-error --max-time 60 --output "$output" --write-out '%{http_code}|%header{retry-after}' "$@"
}

# ask PATH CURL-ARGUMENTS: the same, of the sidecar.
ask() {
    path=$1
    shift
    printf 'Sidecar-Request: true\n%s' "${TOKEN_SIDECAR_CALLER:+Authorization: Bearer $TOKEN_SIDECAR_CALLER}" |
        post "$folder/headers" --noproxy '*' --header @- "$@" "$sidecar$path"
}

known=yes
for attempts_left in 3 2 1 0; do
    : >"$folder/answer"
    curl_code=0
    # Right before each attempt: the partner takes a signature for five minutes.
    said=$(ask /v1/sign --header 'Accept: text/plain' --data-binary "@$folder/payment") || curl_code=$?
    case $curl_code:$said in
        0:200\|*)
            # The same bytes, with the headers AccessToken, X-TIMESTAMP and X-SIGNATURE.
            said=$(post "$folder/answer" --header "@$folder/headers" --data-binary "@$folder/payment" \
                --header 'Content-Type: application/vnd.carry1st.payments.payment+json' \
                "$partner/api/pay1st/payments/create") || curl_code=$?
            case $curl_code:$said in
                0:2??\|*) cat "$folder/answer"; exit 0 ;;
                0:401\|*)
                    token=$(sed -n 's/^AccessToken: Bearer //p' "$folder/headers")
                    printf '{"accessToken": "%s"}' "$token" >"$folder/report"
                    ask /v1/token/rejected --header 'Content-Type: application/json' --data "@$folder/report" >/dev/null || :
                    ;;
                # No connection, or too many calls: nothing was created.
                7:* | 0:429\|*) ;;
                # The partner may have created the payment before the error.
                0:5??\|* | [1-9]*:*) known=no ;;
                *) attempts_left=0 ;;
            esac
            ;;
        # No sidecar, or no token now.
        [1-9]*:* | 0:503\|*) cp "$folder/headers" "$folder/answer" 2>/dev/null || : ;;
        *) cp "$folder/headers" "$folder/answer"; attempts_left=0 ;;
    esac
    # What answers there may be anything, and this goes to a terminal.
    { printf '%s ' "${said%%|*}"; cat "$folder/answer"; } | LC_ALL=C tr -cd ' -~' >&2
    echo >&2
    [ "$attempts_left" != 0 ] || break
    case ${said##*|} in '' | *[!0-9]*) sleep 1 ;; *) sleep "${said##*|}" ;; esac
done
[ "$known" = no ] || exit 1
echo "$reference may exist: look for its webhook, and do not pay under another reference" >&2
exit 3
