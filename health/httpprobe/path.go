package httpprobe

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A step of a path: into a key of an object or an item of a list.
type step struct {
	key   string
	index int // -1: a key
}

// String returns the step as it is written in a path.
func (s step) String() string {
	switch {
	case s.index >= 0:
		return "[" + strconv.Itoa(s.index) + "]"
	case wordLength(s.key) == len(s.key) && s.key != "":
		return "." + s.key
	}
	quoted, err := json.Marshal(s.key)
	if err != nil { // a string always encodes
		return "." + strconv.Quote(s.key)
	}
	return ".[" + string(quoted) + "]"
}

// maxSteps bounds the depth to which a path may lead.
const maxSteps = 100

// parsePath reads a path, a small subset of jq's: "." is the whole body, ".key"
// and .["any key"] lead into an object, [0] into a list. A key written without
// quotes consists of ASCII letters, digits and underscores and does not begin
// with a digit.
func parsePath(path string) ([]step, error) {
	fail := func(why string) ([]step, error) { return nil, fmt.Errorf("path %q: %s", path, why) }
	if !utf8.ValidString(path) {
		return fail("is not UTF-8")
	}
	if !strings.HasPrefix(path, ".") {
		return fail(`must begin with a dot, as in ".status"`)
	}
	if path == "." {
		return nil, nil
	}
	var steps []step
	for rest := path; rest != ""; {
		s, after, err := parseStep(rest, len(steps) == 0)
		if err != nil {
			return fail(err.Error())
		}
		if steps = append(steps, s); len(steps) > maxSteps {
			return fail(fmt.Sprintf("leads deeper than %d levels", maxSteps))
		}
		rest = after
	}
	return steps, nil
}

// parseStep reads the first step of rest, which is not empty. The first step of
// a path may be .[0], all others have no dot before a bracket unless it holds a
// key.
func parseStep(rest string, first bool) (step, string, error) {
	dotted := rest[0] == '.'
	if dotted {
		rest = rest[1:]
	}
	if !strings.HasPrefix(rest, "[") {
		n := wordLength(rest)
		switch {
		case !dotted:
			return step{}, "", fmt.Errorf(`want "." or "[" before %q; a key with other characters is written .["key"]`, rest)
		case n == 0:
			return step{}, "", errors.New(`a key is missing after a dot; a key with other characters is written .["key"]`)
		}
		return step{key: rest[:n], index: -1}, rest[n:], nil
	}
	rest = rest[1:]
	if strings.HasPrefix(rest, `"`) {
		return parseQuoted(rest)
	}
	digits, after, closed := strings.Cut(rest, "]")
	index, err := strconv.ParseUint(digits, 10, 31)
	if !closed || err != nil || (len(digits) > 1 && digits[0] == '0') {
		return step{}, "", errors.New(`brackets must hold the number of an item, from 0, or a key in quotation marks`)
	}
	if dotted && !first {
		return step{}, "", errors.New(`no dot before the brackets of an item`)
	}
	return step{index: int(index)}, after, nil
}

// parseQuoted reads a key in quotation marks and the bracket that closes it.
func parseQuoted(rest string) (step, string, error) {
	end := 1
	for end < len(rest) && rest[end] != '"' {
		if rest[end] == '\\' {
			end++
		}
		end++
	}
	if end+1 >= len(rest) || rest[end+1] != ']' {
		return step{}, "", errors.New(`a key in brackets must end with "]`)
	}
	var key string
	if err := json.Unmarshal([]byte(rest[:end+1]), &key); err != nil {
		return step{}, "", errors.New("the key in brackets is not a valid JSON string")
	}
	return step{key: key, index: -1}, rest[end+2:], nil
}

// wordLength returns how many bytes at the start of s form a key that needs no
// quotation marks.
func wordLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}

// lastKey returns the last key of a path, or "".
func lastKey(steps []step) string {
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].index < 0 {
			return steps[i].key
		}
	}
	return ""
}
