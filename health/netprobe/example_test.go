package netprobe_test

import (
	"context"
	"fmt"
	"net"

	"go.acu.edu.au/runbook/health/netprobe"
)

// A mail server that is too busy says so before it is asked anything.
func ExampleTCP() {
	near, far := net.Pipe() // stands for the network; leave Dialer out for the real one
	go func() {
		fmt.Fprint(far, "421 too many connections\r\n")
		far.Close()
	}()
	mail, err := netprobe.NewTCP(netprobe.TCPConfig{
		Address: "smtp.example.com:25",
		Want:    "220 ",
		Dialer:  dialer(func(context.Context) (net.Conn, error) { return near, nil }),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := mail.Probe(context.Background())
	fmt.Println(result.Status, result.Cause)
	fmt.Println(result.Message)
	// Output:
	// unhealthy assertion
	// TCP smtp.example.com:25: said "421", want "220"
}

// The address of localhost is the one of this machine.
func ExampleDNS() {
	name, err := netprobe.NewDNS(netprobe.DNSConfig{
		Host: "localhost",
		Type: netprobe.A,
		Want: []string{"127.0.0.1"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := name.Probe(context.Background())
	fmt.Println(result.Status)
	addresses, _ := result.Measurement("addresses")
	fmt.Println(addresses)
	// Output:
	// healthy
	// addresses 127.0.0.1
}
