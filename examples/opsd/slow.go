package main

import (
	"io"
	"net/http"
	"time"
)

// bodyWithin is how long the body of a request may take to arrive. The bodies are commands
// and notices of a few lines.
const bodyWithin = 30 * time.Second

// newServer serves a handler within limits: what a client sends has its time. What it is sent
// has none, since what is followed goes on for hours.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
}

// unhurried serves next, and gives the body of a request only so long to arrive, whether next
// reads it or not: somebody who sends a byte now and then holds no connection. It is no
// [http.Server.ReadTimeout], which would also end what is followed for hours, and what is
// still done for a command that has arrived.
func unhurried(next http.Handler, within time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			control := http.NewResponseController(w)
			if control.SetReadDeadline(time.Now().Add(within)) == nil {
				r.Body = &arriving{r.Body, control}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// arriving is a body that has until a deadline, which is taken away once all of it is there.
// The server sets another before it waits for the next request.
type arriving struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements [io.Reader].
func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err == io.EOF { //nolint:errorlint // as readers return it
		_ = a.control.SetReadDeadline(time.Time{}) // it could be set before
	}
	return n, err
}
