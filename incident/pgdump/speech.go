package pgdump

import (
	"bytes"
	"regexp"
	"strings"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// speech is what a program says on its standard error: the beginning of it,
// however much it says.
type speech struct {
	password runbook.Secret

	mu   sync.Mutex
	text []byte
	cut  bool
}

const maxSpeech = 32 << 10

func newSpeech(password runbook.Secret) *speech { return &speech{password: password} }

// Write implements io.Writer. It never fails: a program that is not listened to
// would stop.
func (s *speech) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := min(maxSpeech-len(s.text), len(p))
	s.text = append(s.text, p[:room]...)
	s.cut = s.cut || room < len(p)
	return len(p), nil
}

// lines returns what was said, redacted. Of what was cut off, the last line is left
// out, since it may end within the password.
func (s *speech) lines() []string {
	s.mu.Lock()
	text, cut := bytes.Clone(s.text), s.cut
	s.mu.Unlock()
	if password := []byte(s.password.Reveal()); len(password) > 0 {
		text = bytes.ReplaceAll(text, password, []byte("[redacted]"))
		if cut {
			text = text[:max(0, len(text)-len(password))]
		}
	}
	if cut {
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	return strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD")), "\n")
}

var (
	dumpTooOld    = regexp.MustCompile(`server version: ([0-9][0-9.a-z]*)[^;]*; pg_dump version: ([0-9][0-9.a-z]*)`)
	archiveTooNew = regexp.MustCompile(`unsupported version \(([0-9.]+)\) in file header`)
	copyFailed    = regexp.MustCompile(`(COPY failed for table "[^"]*"): `)
)

// diagnose returns what the program failed of, in a line: the first message that
// says error. Messages with the details and the context of an error, which quote
// rows and statements, are left out.
func (s *speech) diagnose() (detail string, kind error) {
	lines := s.lines()
	for _, line := range lines {
		if m := dumpTooOld.FindStringSubmatch(line); m != nil {
			return "pg_dump is version " + m[2] + ", and the server " + m[1] + ": use a pg_dump that is at least as new", ErrVersion
		}
		if m := archiveTooNew.FindStringSubmatch(line); m != nil {
			return "pg_restore does not know the archive's format " + m[1] + ": use the pg_restore of the version that made the dump, or a newer one", ErrVersion
		}
	}
	said := ""
	for _, line := range lines {
		if strings.Contains(line, "error:") || strings.Contains(line, "FATAL:") {
			said = line
			break
		}
	}
	if said == "" {
		said = lines[0]
	}
	for _, name := range []string{"pg_dump: ", "pg_restore: "} {
		said = strings.TrimPrefix(said, name)
	}
	if said == "" {
		return "it did not say why", nil
	}
	for _, refused := range []string{"permission denied", "password authentication failed", "no pg_hba.conf entry", "must be owner of", "is not permitted to log in"} {
		if strings.Contains(said, refused) {
			kind = incident.ErrNotPermitted
		}
	}
	if m := copyFailed.FindStringSubmatch(said); m != nil {
		// What follows may be a value of a row.
		said = m[1]
	}
	return quote(strings.TrimPrefix(said, "error: ")), kind
}

// mentions reports whether an error has a word, which may not be translated.
func (s *speech) mentions(word string) bool {
	for _, line := range s.lines() {
		if strings.Contains(line, "error:") && strings.Contains(strings.ToLower(line), word) || strings.Contains(line, "SET TRANSACTION SNAPSHOT") {
			return true
		}
	}
	return false
}
