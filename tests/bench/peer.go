// What a team would write instead: Go's net/http with the answer in memory.
//
//	peer PORT FILE     FILE holds the body
package main

import (
	"net/http"
	"os"
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
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
