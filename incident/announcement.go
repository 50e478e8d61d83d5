package incident

import (
	"errors"
	"strings"
)

// ValidateKey returns what is wrong with the key of an announcement, or nil.
func ValidateKey(key string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_"
	odd := strings.ContainsFunc(key, func(r rune) bool { return !strings.ContainsRune(allowed, r) })
	if key == "" || len(key) > 64 || odd {
		return errors.New("incident: announcement: the key must be 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	return nil
}

// Validate returns everything that is wrong with the announcement, or nil.
func (a Announcement) Validate() error {
	problems := []error{ValidateKey(a.Key)}
	if strings.TrimSpace(a.Subject) == "" || strings.ContainsAny(a.Subject, "\r\n") {
		problems = append(problems, errors.New("incident: announcement: the subject must be one line"))
	}
	if strings.TrimSpace(a.Message) == "" {
		problems = append(problems, errors.New("incident: announcement: the message is missing"))
	}
	if a.Start.IsZero() || !a.Start.Before(a.End) {
		problems = append(problems, errors.New("incident: announcement: Start is required and must be before End"))
	}
	return errors.Join(problems...)
}
