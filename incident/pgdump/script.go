package pgdump

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// A script is what pg_restore makes of an archive. This package reads from it
// what is in the archive, since the script, unlike the table of contents that
// "pg_restore --list" prints, has names that are quoted.
type script struct {
	server, dump string   // versions
	drops        []string // the statements that remove what is made afterwards
	tables       []TableRows
	largeObjects int64
	complete     bool // it has the line that pg_restore ends with
}

// TableRows is a table of a dump and how many rows the dump has of it.
type TableRows struct {
	TableName
	// Rows is the exact number of rows.
	Rows int64 `json:"rows"`
}

// maxLine is longer than any line with a statement that matters here: COPY names
// up to 1600 columns of up to 63 bytes. Rows may be longer.
const maxLine = 512 << 10

// maxNames bounds the memory that a script can take.
const maxNames = 64 << 20

var errTooMuch = errors.New("the archive has more objects than can be listed")

// scriptReader reads a script line by line.
type scriptReader struct {
	s       *script
	copying bool   // within the rows of a table
	heading bool   // before the first object, where the drops are
	partial string // of a drop whose quoted name has a line break
	names   int
}

// readScript reads a script to its end.
func readScript(r io.Reader) (*script, error) {
	lines := bufio.NewReaderSize(r, maxLine)
	reader := &scriptReader{s: &script{}, heading: true}
	tail := false // the line began in what was read before
	for {
		line, err := lines.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			if !tail {
				reader.long()
			}
			tail = true
			continue
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		switch {
		case tail:
			tail = false
		case len(line) > 0:
			if err := reader.line(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
				return nil, err
			}
		}
		if err == io.EOF {
			return reader.s, nil
		}
	}
}

// long takes the beginning of a line that is longer than any statement.
func (r *scriptReader) long() {
	if r.copying {
		r.rows(1)
	}
}

func (r *scriptReader) rows(n int64) { r.s.tables[len(r.s.tables)-1].Rows += n }

func (r *scriptReader) line(line []byte) error {
	if r.copying {
		if string(line) == `\.` {
			r.copying = false
		} else {
			r.rows(1)
		}
		return nil
	}
	text := string(line)
	switch {
	case strings.HasPrefix(text, "-- Name: "), strings.HasPrefix(text, "-- Data for Name: "):
		r.heading = false
	case text == "-- PostgreSQL database dump complete":
		r.s.complete = true
	case strings.HasPrefix(text, "-- Dumped from database version ") && r.heading:
		r.s.server = version(text, "-- Dumped from database version ")
	case strings.HasPrefix(text, "-- Dumped by pg_dump version ") && r.heading:
		r.s.dump = version(text, "-- Dumped by pg_dump version ")
	case strings.HasPrefix(text, "SELECT pg_catalog.lo_open("):
		r.s.largeObjects++
	case strings.HasPrefix(text, "COPY ") && strings.HasSuffix(text, " FROM stdin;"):
		name, _, ok := parseName(text[len("COPY "):])
		if !ok {
			return errors.New("pg_restore wrote a COPY statement that is not understood")
		}
		r.copying = true
		r.s.tables = append(r.s.tables, TableRows{TableName: name})
		r.names += len(text)
	case r.heading:
		r.drop(text)
	}
	if r.names > maxNames {
		return errTooMuch
	}
	return nil
}

// drop keeps a statement of the heading that removes something.
func (r *scriptReader) drop(text string) {
	if r.partial != "" {
		text = r.partial + "\n" + text
	}
	if !strings.HasPrefix(text, "DROP ") && !(strings.HasPrefix(text, "ALTER ") && strings.Contains(text, " DROP ")) {
		return
	}
	if strings.Count(text, `"`)%2 != 0 && len(text) < maxLine {
		r.partial = text
		return
	}
	r.partial = ""
	r.s.drops = append(r.s.drops, text)
	r.names += len(text)
}

// version returns the number of "16.1 (Debian 16.1-1)".
func version(line, prefix string) string {
	number, _, _ := strings.Cut(strings.TrimPrefix(line, prefix), " ")
	return number[:min(len(number), 40)]
}

// dropped returns the relations that a DROP statement removes, by the kind that
// the statement names.
func (s *script) dropped() map[TableName]string {
	found := make(map[TableName]string)
	for _, statement := range s.drops {
		for _, kind := range []string{"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"} {
			rest, ok := strings.CutPrefix(statement, "DROP "+kind+" ")
			if !ok {
				continue
			}
			if name, _, ok := parseName(strings.TrimPrefix(rest, "IF EXISTS ")); ok {
				found[name] = kind
			}
		}
	}
	return found
}

// parseName reads schema.name, each quoted or not, and returns what follows.
func parseName(text string) (name TableName, rest string, ok bool) {
	schema, rest, ok := parseIdentifier(text)
	if !ok || !strings.HasPrefix(rest, ".") {
		return TableName{}, "", false
	}
	table, rest, ok := parseIdentifier(rest[1:])
	return TableName{schema, table}, rest, ok
}

func parseIdentifier(text string) (name, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, " .;(\"")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '"' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), text[i+1:], b.Len() > 0
	}
	return "", "", false
}
