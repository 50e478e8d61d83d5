package railway

import "io"

// Redact writes a text in pieces of a size, without secrets, of which the longest
// come first.
func Redact(w io.Writer, secrets []string, text string, size int) error {
	r := newRedactor(w, secrets)
	for len(text) > 0 {
		n := min(max(1, size), len(text))
		if _, err := r.Write([]byte(text[:n])); err != nil {
			return err
		}
		text = text[n:]
	}
	return r.Close()
}
