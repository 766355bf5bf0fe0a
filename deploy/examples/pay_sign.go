// Shows: Go that has a payment signed by the sidecar's /v1/sign, and sends it to the partner itself.
//
//	go run pay_sign.go order-4711
//
// The argument is the payment's partnerReference. Your app stores it before the first attempt, and never pays the same
// order under another one: the partner takes a reference once, so a repeated request cannot become a second payment.
//
// TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
// TOKEN_SIDECAR_CALLER  a line of the caller token file, where the sidecar wants one
// PARTNER               the partner's base URL
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
	sidecar     = setting("TOKEN_SIDECAR", "http://127.0.0.1:8181")
	callerToken = os.Getenv("TOKEN_SIDECAR_CALLER")
	partner     = setting("PARTNER", "https://api-gateway.carry1st.com")
	client      = &http.Client{Timeout: time.Minute, CheckRedirect: dontFollow}
)

// dontFollow returns a redirect as the answer: net/http would send token and signature along, wherever it leads.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// post returns the answer with its body.
func post(url string, headers map[string]string, body []byte) (*http.Response, []byte, error) {
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response, answer, err
}

func ask(path, contentType string, body []byte) (*http.Response, []byte, error) {
	headers := map[string]string{"Sidecar-Request": "true", "Content-Type": contentType}
	if callerToken != "" {
		headers["Authorization"] = "Bearer " + callerToken
	}
	return post(sidecar+path, headers, body)
}

func waitFor(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

func outcomeOf(status int) outcome {
	switch {
	case status/100 == 2:
		return created
	case status == http.StatusUnauthorized, status == http.StatusTooManyRequests:
		return notCreatedYet
	case status >= 500:
		// The payment may have been created before the error.
		return unknown
	}
	return refused
}

// attempt signs and sends. It returns the outcome, and the time to wait before the next attempt.
func attempt(body []byte) (outcome, time.Duration) {
	response, answer, err := ask("/v1/sign", "application/octet-stream", body)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not signed:", err)
		return notCreatedYet, time.Second
	}
	var signed struct {
		Headers map[string]string
		TokenID string
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(answer, &signed) != nil {
		fmt.Fprintf(os.Stderr, "not signed: %d %.500q\n", response.StatusCode, answer)
		if response.StatusCode == http.StatusServiceUnavailable {
			return notCreatedYet, waitFor(response)
		}
		return refused, 0
	}
	// With the same bytes.
	signed.Headers["Content-Type"] = "application/vnd.carry1st.payments.payment+json"
	response, answer, err = post(partner+"/api/pay1st/payments/create", signed.Headers, body)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return notCreatedYet, time.Second
	} else if err != nil {
		return unknown, time.Second
	}
	found := outcomeOf(response.StatusCode)
	if found == created {
		fmt.Println(string(answer))
		return found, 0
	}
	fmt.Fprintf(os.Stderr, "%d %.500q\n", response.StatusCode, answer)
	if response.StatusCode == http.StatusUnauthorized {
		report, err := json.Marshal(map[string]string{"tokenId": signed.TokenID})
		if err == nil {
			_, _, err = ask("/v1/token/rejected", "application/json", report)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "not reported:", err)
		}
	}
	return found, waitFor(response)
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
