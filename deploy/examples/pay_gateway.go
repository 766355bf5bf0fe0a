// Shows: Go that creates a payment through the sidecar's gateway: it needs no token, no key and no secret.
//
//	go run pay_gateway.go order-4711
//
// The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
// order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.
//
// TOKEN_SIDECAR_GATEWAY  http://host:port of the gateway (http://127.0.0.1:8282)
// TOKEN_SIDECAR_CALLER   a line of the caller token file, where the sidecar wants one
//
// Prints the partner's answer. Exit code 0: created; 1: not created; 3: nobody knows, look for the webhook.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

type outcome int

const (
	created outcome = iota
	refused
	notCreatedYet
	unknown
)

const attempts = 4

var (
	gateway     = setting("TOKEN_SIDECAR_GATEWAY", "http://127.0.0.1:8282")
	callerToken = os.Getenv("TOKEN_SIDECAR_CALLER")
	// Longer than SIDECAR_GATEWAY_TIMEOUT_S, so that the gateway says what became of the request.
	client = &http.Client{Timeout: time.Minute, CheckRedirect: dontFollow}
)

// dontFollow returns a redirect as the answer: a payment is not sent to another address.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func outcomeOf(response *http.Response) outcome {
	status, header := response.StatusCode, response.Header
	notSent := header.Get("Sidecar-Answer") == "sidecar" && (status == 502 || status == 503)
	switch {
	case status/100 == 2:
		return created
	case notSent, header.Get("Sidecar-Token") == "replaced", status == http.StatusTooManyRequests:
		return notCreatedYet
	case status >= 500:
		// Such as 504 partner-outcome-unknown, or a 5xx of the partner, which may have created the payment before.
		return unknown
	}
	return refused
}

// attempt returns the outcome, and the time to wait before the next attempt.
func attempt(body []byte) (outcome, time.Duration) {
	request, err := http.NewRequest(http.MethodPost, gateway+"/api/pay1st/payments/create", bytes.NewReader(body))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return refused, 0
	}
	request.Header.Set("Sidecar-Request", "true")
	request.Header.Set("Content-Type", "application/vnd.carry1st.payments.payment+json")
	if callerToken != "" {
		request.Header.Set("Authorization", "Bearer "+callerToken)
	}
	response, err := client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return notCreatedYet, time.Second
	} else if err != nil {
		return unknown, time.Second
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return unknown, time.Second
	}
	found := outcomeOf(response)
	if found == created {
		fmt.Println(string(answer))
	} else {
		fmt.Fprintf(os.Stderr, "%d %.500q\n", response.StatusCode, answer)
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	return found, time.Duration(seconds) * time.Second
}

func pay(reference string) int {
	payment := map[string]any{"amount": 100, "currencyCode": "NGN", "countryCode": "NG", "partnerReference": reference}
	body, err := json.Marshal(payment)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	known := true
	for left := attempts - 1; left >= 0; left-- {
		found, wait := attempt(body)
		if found == created {
			return 0
		}
		known = known && found != unknown
		if found == refused || left == 0 {
			break
		}
		time.Sleep(wait)
	}
	if known {
		return 1
	}
	fmt.Fprintln(os.Stderr, reference, "may exist: look for its webhook, and do not pay under another reference")
	return 3
}

func main() {
	os.Exit(pay(os.Args[1]))
}
