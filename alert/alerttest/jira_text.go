package alerttest

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// text reads a text as this Jira takes it.
func (j *Jira) text(v any) (string, error) {
	if j.DataCenter {
		text, ok := v.(string)
		if !ok || utf8.RuneCountInString(text) > 32767 {
			return "", fmt.Errorf("the operation value must be a string of at most 32,767 characters")
		}
		return text, nil
	}
	doc, _ := v.(map[string]any)
	if doc["type"] != "doc" || doc["version"] != 1.0 {
		return "", fmt.Errorf("the operation value must be an Atlassian Document")
	}
	var b strings.Builder
	if err := adfText(&b, doc, "doc"); err != nil {
		return "", err
	}
	if utf8.RuneCountInString(b.String()) > 32767 {
		return "", fmt.Errorf("CONTENT_LIMIT_EXCEEDED")
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// adfText reads a node of a document:
// https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/.
func adfText(b *strings.Builder, n map[string]any, in string) error {
	invalid := fmt.Errorf("INVALID_INPUT: node %v in %s", n["type"], in)
	content, _ := n["content"].([]any)
	for name := range n {
		if !slices.Contains([]string{"type", "version", "content", "text", "marks", "attrs"}, name) {
			return invalid
		}
	}
	switch kind := n["type"]; {
	case kind == "doc" && in == "doc", kind == "paragraph" && in == "doc":
		for _, c := range content {
			child, ok := c.(map[string]any)
			if !ok {
				return invalid
			}
			under := "paragraph"
			if kind == "doc" {
				if child["type"] != "paragraph" {
					return invalid
				}
				under = "doc"
			}
			if err := adfText(b, child, under); err != nil {
				return err
			}
		}
		if kind == "paragraph" {
			b.WriteString("\n\n")
		}
	case kind == "hardBreak" && in == "paragraph" && content == nil:
		b.WriteString("\n")
	case kind == "text" && in == "paragraph" && content == nil:
		text, _ := n["text"].(string)
		if text == "" {
			return invalid
		}
		b.WriteString(text)
	default:
		return invalid
	}
	return nil
}
