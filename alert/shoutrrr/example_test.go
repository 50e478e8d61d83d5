package shoutrrr_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/shoutrrr"
)

// A service is told. Here it is one that prints; a real address is
// "ntfy://:token@ntfy.example.edu/alerts" or "discord://token@id".
func Example() {
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		fmt.Println(string(text), err)
	}))
	defer service.Close()
	notifier, err := shoutrrr.New(shoutrrr.Config{URL: runbook.NewSecret("generic+" + service.URL)})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := notifier.Notify(context.Background(), alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Title: "HIGH: production: it is slow", Text: "HIGH: production: it is slow\n",
	})
	fmt.Printf("receipt %q %v\n", receipt, err)
	// Output:
	// HIGH: production: it is slow <nil>
	// receipt "" <nil>
}
