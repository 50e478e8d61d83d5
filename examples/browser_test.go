package examples_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// ctx is that of a program that nobody interrupts.
var ctx = context.Background()

var heading = regexp.MustCompile(`<h1>(.*?)</h1>`)

// show returns what a person sees of an answer.
func show(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	line := strings.TrimSpace(string(text))
	if m := heading.FindStringSubmatch(line); m != nil {
		line = m[1]
	}
	return resp.Status[:3] + " " + line
}
