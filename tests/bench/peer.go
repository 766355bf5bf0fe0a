// What a team would write instead: Go's net/http with the answer in memory.
//
//	peer ADDRESS FILE     ADDRESS is HOST:PORT or unix:PATH; FILE holds the body
package main

import (
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	body, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/v1/token", func(answer http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Sidecar-Request") != "true" {
			http.Error(answer, "header required", http.StatusForbidden)
			return
		}
		answer.Header().Set("Content-Type", "application/json")
		answer.Header().Set("Cache-Control", "no-store")
		answer.Write(body)
	})
	network, address := "tcp", os.Args[1]
	if strings.HasPrefix(address, "unix:") {
		network, address = "unix", strings.TrimPrefix(address, "unix:")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	panic(http.Serve(listener, nil))
}
