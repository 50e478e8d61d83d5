package railway

import (
	"bytes"
	"io"
	"sync"
)

// A redactor replaces secrets in what is written through it. What may be the
// beginning of one is held back until it is known, at the latest at Close. A nil one
// has nothing to close.
type redactor struct {
	mu      sync.Mutex
	w       io.Writer
	secrets [256][][]byte // by their first byte, the longest first
	held    []byte
	out     bytes.Buffer
}

func newRedactor(w io.Writer, secrets []string) *redactor {
	r := &redactor{w: w}
	for _, s := range secrets {
		r.secrets[s[0]] = append(r.secrets[s[0]], []byte(s))
	}
	return r
}

// Write implements io.Writer.
func (r *redactor) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, p...)
	if err := r.flush(false); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back.
func (r *redactor) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flush(true)
}

func (r *redactor) flush(last bool) error {
	r.out.Reset()
	done, kept := 0, 0 // kept is what is to be written as it is, up to done
	for done < len(r.held) {
		if r.secrets[r.held[done]] == nil {
			done++
			continue
		}
		length, waits := r.at(r.held[done:])
		if waits && !last {
			break
		}
		if length == 0 {
			done++
			continue
		}
		_, _ = r.out.Write(r.held[kept:done]) // a buffer never fails
		_, _ = r.out.WriteString("[redacted]")
		done += length
		kept = done
	}
	_, _ = r.out.Write(r.held[kept:done])
	r.held = append(r.held[:0], r.held[done:]...)
	if r.out.Len() == 0 {
		return nil
	}
	_, err := r.w.Write(r.out.Bytes())
	return err
}

// at returns the length of the longest secret that text begins with. waits says that
// a longer one may begin there, which more text would tell.
func (r *redactor) at(text []byte) (length int, waits bool) {
	for _, s := range r.secrets[text[0]] {
		if bytes.HasPrefix(text, s) {
			return len(s), waits
		}
		waits = waits || bytes.HasPrefix(s, text)
	}
	return 0, waits
}
