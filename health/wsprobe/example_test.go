package wsprobe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/health/wsprobe"
)

// An endpoint is asked, and answers something else.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for {
			if _, _, err := c.Read(r.Context()); err != nil {
				return
			}
			if err := c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"error"}`)); err != nil {
				return
			}
		}
	}))
	defer server.Close()

	prober, err := wsprobe.New(wsprobe.Config{
		URL:  "ws://app.example.com/ws/progress",
		HTTP: server.Client(), // reaches the server under that name
		Send: `{"type":"ping"}`,
		Want: &wsprobe.Want{Contains: "pong"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := prober.Probe(context.Background())
	fmt.Println(result.Status, result.Cause)
	fmt.Println(result.Message)
	// Output:
	// unhealthy assertion
	// ws://app.example.com/ws/progress: the message (16 bytes) does not contain "pong"
}
