package redisprobe_test

import (
	"context"
	"fmt"

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
	client := redis.NewClient(&redis.Options{Addr: server.Addr()}) // the host's
	defer client.Close()

	tooMany := 2.0
	prober, err := redisprobe.New(redisprobe.Config{
		Client: client,
		Write:  true,
		Queues: []redisprobe.Queue{{Key: "jobs", Length: health.Limit{Warn: &tooMany}}},
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
	// queue_jobs 3, more than 2
}
