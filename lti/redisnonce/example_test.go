package redisnonce_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/redisnonce"
)

// A tool calls Use for each launch; here it is called by hand, on a Redis in
// memory.
func Example() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()

	nonces, err := redisnonce.New(redisnonce.Config{Client: client})
	if err != nil {
		fmt.Println(err)
		return
	}
	id := lti.NewNonceID("https://canvas.instructure.com", "10000000000042", "n-0S6_WzA2Mj")
	until := time.Now().Add(time.Hour) // when the token has expired
	fmt.Println("first: ", nonces.Use(ctx, id, until))
	fmt.Println("replay:", nonces.Use(ctx, id, until))
	server.FastForward(2 * time.Hour)
	fmt.Println("later: ", nonces.Use(ctx, id, time.Now().Add(time.Hour)))
	// Output:
	// first:  <nil>
	// replay: redisnonce: use a nonce: nonce was used before
	// later:  <nil>
}
