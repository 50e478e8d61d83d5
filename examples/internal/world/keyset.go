package world

import (
	"fmt"
	"io"
	"net/http"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// mostOfKeySet is how much of the answer Canvas reads.
const mostOfKeySet = 64 << 10

// fetchKeySet is how Canvas gets the keys of the tool, when the tool asks for a token.
func (e *environment) fetchKeySet(address string) ([]byte, error) {
	client := memhttp.Client(http.HandlerFunc(e.serve), func(*http.Request, []byte) error { return e.dial() })
	resp, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the application answered with status %d", resp.StatusCode)
	}
	return io.ReadAll(io.LimitReader(resp.Body, mostOfKeySet))
}
