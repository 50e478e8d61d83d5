package gql

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A definition begins at the start of a line, and ends with the first brace there.
var (
	definition = regexp.MustCompile(`(?ms)^(subscription|fragment) (\w+)\b.*?^}$`)
	spread     = regexp.MustCompile(`\.\.\.(\w+)`)
)

// Subscription returns the text of one subscription, with the fragments that it
// needs.
func Subscription(name string) (string, error) {
	all, err := Documents()
	if err != nil {
		return "", fmt.Errorf("the documents cannot be read: %w", err)
	}
	texts := make(map[string]string)
	for _, m := range definition.FindAllStringSubmatch(all, -1) {
		texts[m[1]+" "+m[2]] = m[0]
	}
	text, ok := texts["subscription "+name]
	if !ok {
		return "", fmt.Errorf("there is no subscription %q", name)
	}
	parts, have := []string{text}, []string{}
	for i := 0; i < len(parts); i++ {
		for _, m := range spread.FindAllStringSubmatch(parts[i], -1) {
			if slices.Contains(have, m[1]) {
				continue
			}
			fragment, ok := texts["fragment "+m[1]]
			if !ok {
				return "", fmt.Errorf("subscription %q: there is no fragment %q", name, m[1])
			}
			parts, have = append(parts, fragment), append(have, m[1])
		}
	}
	return strings.Join(parts, "\n\n"), nil
}
