// Shows: an OAuth client as it is, golang.org/x/oauth2, that gets the partner's token from the sidecar's /oauth/token.
//
//	TOKEN_SIDECAR_CALLER=$(head -n 1 /etc/token-sidecar/caller-token) go run oauth_client.go
//
// The client id is the profile, the client secret the caller token; the sidecar must have SIDECAR_CALLER_TOKEN_FILE set,
// or it wants the header `Sidecar-Request: true`, which plain OAuth clients do not send.
//
// TOKEN_SIDECAR         http://host:port of the vending listener (http://127.0.0.1:8181)
// TOKEN_SIDECAR_CALLER  a line of the caller token file
// PARTNER_URL           what to get from the partner
//
// Prints the partner's answer. Exit code 0: the partner answered 2xx; 1: it did not, or there is no token.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const profile = "default"

var (
	sidecar     = setting("TOKEN_SIDECAR", "http://127.0.0.1:8181")
	callerToken = strings.TrimSpace(os.Getenv("TOKEN_SIDECAR_CALLER"))
	partnerURL  = setting("PARTNER_URL", "https://api-gateway.carry1st.com/api/pay1st/payments/methods")
	client      = &http.Client{Timeout: time.Minute, CheckRedirect: dontFollow}
)

// dontFollow hands a redirect on as the answer: net/http would send the partner's header along, wherever it leads.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// fetchToken asks each time: a TokenSource would keep the token, also one that the partner has refused meanwhile.
func fetchToken(ctx context.Context) (string, error) {
	config := clientcredentials.Config{ClientID: profile, ClientSecret: callerToken, TokenURL: sidecar + "/oauth/token"}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return "", fmt.Errorf("no token: %w", err)
	}
	return token.AccessToken, nil
}

// call asks the partner, which wants the token in a header of its own.
func call(token string) (int, []byte, error) {
	request, err := http.NewRequest(http.MethodGet, partnerURL, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("AccessToken", "Bearer "+token)
	return send(request)
}

// report tells the sidecar that the partner refused this token, for which OAuth has no word: the next one is another.
func report(token string) error {
	body, err := json.Marshal(map[string]string{"accessToken": token})
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodPost, sidecar+"/v1/token/rejected", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+callerToken)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Sidecar-Request", "true")
	if status, _, err := send(request); err != nil {
		return err
	} else if status != http.StatusAccepted {
		return fmt.Errorf("the sidecar answered %d to the report", status)
	}
	return nil
}

func send(request *http.Request) (int, []byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

func run(ctx context.Context) error {
	token, err := fetchToken(ctx)
	if err != nil {
		return err
	}
	status, body, err := call(token)
	if err != nil {
		return err
	}
	if status == http.StatusUnauthorized {
		if err := report(token); err != nil {
			return err
		}
		next, err := fetchToken(ctx)
		if err != nil {
			return err
		}
		if next != token {
			if status, body, err = call(next); err != nil {
				return err
			}
		}
	}
	fmt.Println(strings.TrimSpace(string(body)))
	if status/100 != 2 {
		return fmt.Errorf("the partner answered %d", status)
	}
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
