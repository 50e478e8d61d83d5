package examples_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"go.acu.edu.au/runbook/lti"
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

// logRefusal prints the line that an operator's log gets.
func logRefusal(_ context.Context, r *lti.Refusal) { fmt.Println(r) }
