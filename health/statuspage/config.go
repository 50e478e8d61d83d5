package statuspage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Config says what a page shows.
type Config struct {
	// Monitor has the states. Required.
	Monitor *health.Monitor
	// URL is the address of the page as visitors see it, with scheme, host and
	// prefix: "https://qa.example.edu/status". Required: feeds, the status API and
	// badges lead to it, and people keep them for years.
	URL string
	// Title is the name of the service. Required.
	Title string
	// Components are what the page shows, in their order; those of one Group are
	// shown together, where the first of them stands. Required for a public page. A
	// private one also shows the checks that no component names.
	Components []Component
	// Description says in a sentence or two what the service is, or whom to ask.
	Description string
	// Links lead to more, at the foot of the page: a help desk.
	Links []Link
	// History has the past, as the Monitor wrote it. Nil shows no past.
	History health.History
	// Location is the zone in which times are shown. It should be that of History,
	// in which days begin. Nil means UTC.
	Location *time.Location
	// Events returns what is announced. Nil means that nothing ever is. It is called
	// at most every five seconds, never twice at the same time, and its context ends
	// after five seconds. On an error the page shows what it returned last, and says
	// so. What it returns must not be changed afterwards.
	Events func(ctx context.Context) (Events, error)
	// Logger gets what concerns the page itself: Events or History that fail, events
	// that cannot be shown as they are. Nil means slog.Default().
	Logger *slog.Logger
}

// A Component is a part of the service, as people know it.
type Component struct {
	// Name is what people call it. Required.
	Name string
	// ID stands in addresses: letters, digits, dots, dashes and underscores, at most
	// 64, and unique. Empty means one made of Name, which changes with it.
	ID string
	// Group is the heading under which it stands. Empty means none.
	Group string
	// Description says what it is for. Optional.
	Description string
	// Checks are the names of the checks that look at it. Required. They are not
	// shown to the public. A check that the Monitor does not have is not known.
	Checks []string
}

// A Link is an address with a text.
type Link struct {
	// Text is what is shown. Required.
	Text string
	// URL is where it leads: absolute, with http, https or mailto. Required.
	URL string
}

const (
	maxID    = 64
	maxTitle = 200 // characters of a name or title
)

// validID reports whether an identifier can stand in an address.
func validID(id string) bool {
	if id == "" || len(id) > maxID || strings.Trim(id, ".") == "" {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return !isIDRune(r) })
}

func isIDRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.'
}

// slug makes an identifier of a name: lower case, everything else a dash.
func slug(name string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(name) {
		if !isIDRune(r) {
			dash = b.Len() > 0
			continue
		}
		if dash {
			b.WriteByte('-')
			dash = false
		}
		b.WriteRune(r)
		if b.Len() >= maxID {
			break
		}
	}
	return b.String()
}

// complete returns the configuration with its defaults, or everything that is
// wrong with it.
func (cfg Config) complete(public bool) (Config, error) {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("statuspage: "+format, args...))
	}
	if cfg.Monitor == nil {
		wrong("the Monitor is missing")
	}
	if u, err := url.Parse(cfg.URL); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		wrong("the URL must be absolute, with http or https, and without user, query and fragment: https://example.edu/status")
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/") + "/"
	if cfg.Title = line(cfg.Title); cfg.Title == "" {
		wrong("the Title is missing: name the service")
	}
	cfg.Description = clean(cfg.Description)
	if public && len(cfg.Components) == 0 {
		wrong("a public page needs Components: only what they name is shown")
	}
	cfg.Components = slices.Clone(cfg.Components)
	seen := make(map[string]string)
	for i := range cfg.Components {
		c := &cfg.Components[i]
		c.Checks = slices.Clone(c.Checks)
		c.Name, c.Group, c.Description = line(c.Name), line(c.Group), clean(c.Description)
		if c.ID == "" {
			c.ID = slug(c.Name)
		}
		switch other, taken := seen[c.ID]; {
		case c.Name == "":
			wrong("component %d has no Name", i+1)
		case !validID(c.ID):
			wrong("component %q needs an ID of at most %d letters, digits, dots, dashes and underscores", c.Name, maxID)
		case taken:
			wrong("components %q and %q have the same ID %q: give one of them another", other, c.Name, c.ID)
		}
		if len(c.Checks) == 0 {
			wrong("component %q names no Checks", c.Name)
		}
		seen[c.ID] = c.Name
	}
	cfg.Links = slices.Clone(cfg.Links)
	for i := range cfg.Links {
		l := &cfg.Links[i]
		l.Text = line(l.Text)
		u, err := url.Parse(l.URL)
		if l.Text == "" || err != nil || !slices.Contains([]string{"http", "https", "mailto"}, u.Scheme) {
			wrong("link %d needs a Text and an absolute URL with http, https or mailto", i+1)
		}
	}
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, errors.Join(problems...)
}
