package redisprobe_test

import (
	"context"
	"fmt"
	"net"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

// A server is asked whether it takes writes, and how much work waits in it.
func Example() {
	server := miniredis.NewMiniRedis() // in place of a real one
	if err := server.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	for _, job := range []string{"mail", "report", "mail"} {
		if _, err := server.Lpush("jobs", job); err != nil {
			fmt.Println(err)
			return
		}
	}
	client := redis.NewClient(&redis.Options{ // the host's
		Addr: "redis.example.com:6379",
		Dialer: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Addr()) // reaches the server under that name
		},
	})
	defer client.Close()

	tooMany := 2.0
	prober, err := redisprobe.New(redisprobe.Config{
		Client: client,
		Write:  true,
		Queues: []redisprobe.Queue{{Key: "jobs", Limit: health.Limit{Warn: &tooMany}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := prober.Probe(context.Background())
	fmt.Println(result.Status, result.Cause)
	fmt.Println(result.Message)
	// Output:
	// degraded threshold
	// Redis redis.example.com:6379: queue_jobs 3, more than 2
}
