package services

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that FreePort chooses from. They lie below the ports from which
// systems take those of outgoing connections (32768 and up on Linux, 49152 and
// up elsewhere), so that no connection can take the port of a server that a
// test has stopped and will start again, nor a client that dials it then be
// connected to itself.
const (
	lowestPort  = 18000
	highestPort = 32000
)

// FreePort returns a TCP port of 127.0.0.1 on which nothing listens now.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp4", address(port))
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatalf("close the listener on a free port: %v", err)
		}
		return port
	}
	t.Fatal("no free port found on 127.0.0.1")
	return 0
}

func address(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
