package alert

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// RouterConfig says who is told of what. See [NewRouter].
type RouterConfig struct {
	// Targets are who can be told. At least one.
	Targets []Target
	// Routes choose who is told of an alert, the first that matches unless it says to
	// go on. No target is told twice of an alert, however many routes lead to it. An
	// alert that no route matches is an error of the configuration that shows in
	// [Router.Alerts]; end with a route that matches everything.
	Routes []Route
	// Store keeps what must survive a crash. Nil means that nothing does. While it takes no
	// writes for more than ten seconds, messages are sent all the same, and Handle and the
	// others return its error. What is sent then is known nowhere else: if the program is
	// killed before the store takes writes again, it can come again from the next one, and is
	// not marked as a possible repetition.
	Store Store
	// PageEnvironments are the environments for which targets that page are used, in
	// whatever case. None means "production" and "prod".
	PageEnvironments []string
	// Maintenance are times in which nobody is told that something began.
	Maintenance []Maintenance
	// Inhibitions keep alerts from being told while another one explains them.
	Inhibitions []Inhibition
	// Notices are the names of targets that are told of silences: when one begins, ten
	// minutes before it ends if it lasts longer than twenty, and when it is over. None of
	// them may page.
	Notices []string
	// Limits bound how much people are told at an address. None means that all is told as
	// it comes.
	Limits []Limit
	// Zone is the zone of the times in messages. Nil means UTC.
	Zone *time.Location
	// Logger is told what goes wrong. Nil means slog.Default().
	Logger *slog.Logger
	// Hooks are told of deliveries.
	Hooks RouterHooks
}

// RouterHooks are told what a [Router] does. A nil func is not called. They are called
// without a lock held and must not block.
type RouterHooks struct {
	// OnDelivery is called after each attempt to deliver a notification.
	OnDelivery func(Attempt)
}

// An Attempt is one attempt to deliver a notification.
type Attempt struct {
	// Target is who was to be told, Notification what.
	Target       string
	Notification Notification
	// Number counts the attempts at this notification, from 1.
	Number int
	// Err is nil if it arrived.
	Err error
}

// A Target is somebody who can be told, through one service.
type Target struct {
	// Name names it, for routes and for people: "slack-alerts". Letters, digits, - and
	// _, at most 40 characters. Required.
	Name string
	// Notifier sends. Required.
	Notifier Notifier
	// Audience is who reads it. Empty means Operators.
	Audience Audience
	// Pages says that it wakes people. It is told of nothing but alerts of the
	// severities in Severities, or Critical if there are none, in the environments of
	// RouterConfig.PageEnvironments.
	Pages bool
	// NeedsApproval says that it is told nothing before a person has approved it, see
	// [Router.Approve]: a vendor's support. It is of the audience Everyone, is posted to by
	// its name only, and has no fallback.
	NeedsApproval bool
	// Severities are those it is told of. None means all.
	Severities []Severity
	// Quiet are times in which it is told of nothing that can wait: alerts below
	// QuietUnless are told when the time is over, if they still fire. Zero QuietUnless
	// means Critical.
	Quiet       []health.Window
	QuietUnless Severity
	// Fallback is the name of the target that is told instead, if this one refuses a
	// message, or fails and has not taken it for FallbackAfter. Zero means 2 minutes. What
	// is muted for the fallback stays so: one that pages is told of nothing else.
	Fallback      string
	FallbackAfter time.Duration
	// PerSecond is how many messages are sent in a second, with bursts of Burst. Zero
	// means 1 and 5.
	PerSecond float64
	Burst     int
	// Parallel is how many messages may be on their way. Zero means 4.
	Parallel int
	// Timeout limits one attempt. Zero means 30 s.
	Timeout time.Duration
	// RemindAfter is after how long somebody is reminded of what still fires and is
	// not acknowledged; each reminder comes after twice the time of the one before, up
	// to RemindMost. Zero means 1 h and 8 h; a negative RemindAfter means never.
	RemindAfter, RemindMost time.Duration
	// Storm is how many conversations may begin in a minute. More become one digest.
	// Zero means 20.
	Storm int
}

// A Route sends what it matches to targets.
type Route struct {
	// Name names the route. Required.
	Name string
	// Match chooses alerts. The zero value matches all.
	Match Matcher
	// Targets are the names of who is told. At least one.
	Targets []string
	// GroupBy are the labels by which alerts are put together: those with the same
	// values are one conversation. None means rule and environment.
	GroupBy []string
	// Wait is how long a first message waits for more alerts of its group. Zero means
	// 30 s, a negative value none. A first critical alert does not wait.
	Wait time.Duration
	// Update is how long to wait between messages about changes of a group. Zero means
	// 5 minutes. Further critical alerts come Wait after the last message, and ends of a
	// part wait no longer than Wait. That somebody takes care of a part waits for a few
	// seconds, since who takes several takes one after the other. What gets worse, that
	// somebody takes care of all, and the end of all do not wait.
	Update time.Duration
	// Continue goes on with the next routes.
	Continue bool
}

// A Matcher chooses alerts. Everything that is set must match.
type Matcher struct {
	// Severities and Environments must have that of the alert, unless there are none.
	Severities   []Severity
	Environments []string
	// Labels must be equal, see [Alert.Label]. A value of "*" matches any but the empty
	// one.
	Labels map[string]string
}

// Matches reports whether the matcher chooses the alert.
func (m Matcher) Matches(a Alert) bool { return m.matches(&a) }

func (m *Matcher) matches(a *Alert) bool {
	if len(m.Severities) > 0 && !slices.Contains(m.Severities, a.Severity) {
		return false
	}
	if len(m.Environments) > 0 && !slices.Contains(m.Environments, a.Environment) {
		return false
	}
	for name, want := range m.Labels {
		if got := a.label(name); got != want && (want != "*" || got == "") {
			return false
		}
	}
	return true
}

func (m Matcher) validate() error {
	var problems []error
	for _, s := range m.Severities {
		problems = append(problems, s.validate())
	}
	return errors.Join(problems...)
}

func (m Matcher) clone() Matcher {
	m.Severities, m.Environments, m.Labels = slices.Clone(m.Severities), slices.Clone(m.Environments), maps.Clone(m.Labels)
	return m
}

func (m Matcher) isZero() bool {
	return len(m.Severities) == 0 && len(m.Environments) == 0 && len(m.Labels) == 0
}

// String says in words what is matched.
func (m Matcher) String() string {
	var parts []string
	for _, s := range m.Severities {
		parts = append(parts, s.String())
	}
	parts = append(parts, m.Environments...)
	for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
		parts = append(parts, name+"="+m.Labels[name])
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, " ")
}

// Maintenance is a time in which nobody is told that something began. Rules go on
// being evaluated, and the end of what was told before is told.
type Maintenance struct {
	// Match chooses the alerts.
	Match Matcher
	// Window is when.
	Window health.Window
}

// An Inhibition keeps alerts from being told while another one fires. Of alerts that
// explain each other, in a circle of whatever length, the worst is told, unless another
// alert explains one of them.
type Inhibition struct {
	// By chooses the alerts that explain, What those that are explained.
	By, What Matcher
	// Equal are labels that must be the same in both.
	Equal []string
}

// maxName is the longest name of a target or a route.
const maxName = 40

// defaults returns the configuration with its defaults, or all its problems. It shares
// nothing that changes with the one that was given.
func (c RouterConfig) defaults() (RouterConfig, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: router: "+format, args...))
	}
	if len(c.Targets) == 0 {
		bad("there is no target")
	}
	if len(c.Routes) == 0 {
		bad("there is no route")
	}
	byName := make(map[string]Target)
	c.Targets = slices.Clone(c.Targets)
	for i := range c.Targets {
		t := &c.Targets[i]
		if _, again := byName[t.Name]; again {
			bad("target %q: is there twice", t.Name)
		}
		problems = append(problems, t.setDefaults()...)
		byName[t.Name] = *t
	}
	for _, t := range c.Targets {
		if t.Fallback == "" {
			continue
		}
		if t.NeedsApproval {
			bad("target %q: what was approved for it is for it alone: it has no fallback", t.Name)
			continue
		}
		f, ok := byName[t.Fallback]
		if !ok || f.Name == t.Name || f.Audience != t.Audience || f.NeedsApproval {
			bad("target %q: the fallback %q must be another target of the same audience, without NeedsApproval", t.Name, t.Fallback)
		}
	}
	c.Routes = slices.Clone(c.Routes)
	names := make(map[string]bool)
	for i := range c.Routes {
		r := &c.Routes[i]
		if names[r.Name] {
			bad("route %q: is there twice", r.Name)
		}
		names[r.Name] = true
		problems = append(problems, r.setDefaults(byName)...)
	}
	problems = append(append(problems, c.muteProblems(byName)...), c.limitProblems(byName)...)
	if len(c.PageEnvironments) == 0 {
		c.PageEnvironments = []string{"production", "prod"}
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.PageEnvironments, c.Maintenance = slices.Clone(c.PageEnvironments), slices.Clone(c.Maintenance)
	c.Inhibitions, c.Notices = slices.Clone(c.Inhibitions), slices.Clone(c.Notices)
	c.Limits = slices.Clone(c.Limits)
	for i := range c.Limits {
		c.Limits[i].Targets = slices.Clone(c.Limits[i].Targets)
	}
	for i := range c.Maintenance {
		c.Maintenance[i].Match = c.Maintenance[i].Match.clone()
	}
	for i := range c.Inhibitions {
		in := &c.Inhibitions[i]
		in.By, in.What, in.Equal = in.By.clone(), in.What.clone(), slices.Clone(in.Equal)
	}
	return c, errors.Join(problems...)
}

// muteProblems are those of what keeps people from being told, and of who is told of that.
func (c RouterConfig) muteProblems(targets map[string]Target) (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: router: "+format, args...))
	}
	for _, n := range c.Notices {
		if t, ok := targets[n]; !ok || t.Audience != Operators || t.Pages {
			bad("notices: %q is no target of operators that does not page", n)
		}
	}
	for i, m := range c.Maintenance {
		if err := errors.Join(m.Window.Validate(), m.Match.validate()); err != nil {
			bad("maintenance %d: %w", i+1, err)
		}
	}
	for i, in := range c.Inhibitions {
		if in.By.isZero() || in.What.isZero() {
			bad("inhibition %d: By or What matches everything", i+1)
		}
		if err := errors.Join(in.By.validate(), in.What.validate()); err != nil {
			bad("inhibition %d: %w", i+1, err)
		}
	}
	return problems
}

func (t *Target) setDefaults() (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: router: target %q: "+format, append([]any{t.Name}, args...)...))
	}
	if !isName(t.Name) {
		bad("the name must be of letters, digits, - and _, at most %d characters", maxName)
	}
	if t.Notifier == nil {
		bad("has no notifier")
	}
	switch t.Audience {
	case "":
		t.Audience = Operators
		fallthrough
	case Operators:
		if t.NeedsApproval {
			bad("alerts do not wait for approval: a target with NeedsApproval is of the audience Everyone")
		}
	case Everyone:
		if t.Pages {
			bad("a target for everyone cannot page")
		}
	default:
		bad("audience %q: is not known", string(t.Audience))
	}
	for _, s := range append(slices.Clone(t.Severities), max(t.QuietUnless, Critical)) {
		if err := s.validate(); err != nil {
			bad("%w", err)
		}
	}
	for _, w := range t.Quiet {
		if err := w.Validate(); err != nil {
			bad("quiet: %w", err)
		}
	}
	if t.Burst < 0 || t.Parallel < 0 || t.Timeout < 0 || t.FallbackAfter < 0 || t.RemindMost < 0 || t.Storm < 0 {
		bad("a limit is negative")
	}
	if t.PerSecond != 0 && !(t.PerSecond >= slowest && t.PerSecond <= fastest) {
		bad("PerSecond must be from %g to %g", slowest, float64(fastest))
	}
	t.Severities, t.Quiet = slices.Clone(t.Severities), slices.Clone(t.Quiet)
	if t.Pages && len(t.Severities) == 0 {
		t.Severities = []Severity{Critical}
	}
	orDefault(&t.QuietUnless, Critical)
	orDefault(&t.FallbackAfter, 2*time.Minute)
	orDefault(&t.PerSecond, 1)
	orDefault(&t.Burst, 5)
	orDefault(&t.Parallel, 4)
	orDefault(&t.Timeout, 30*time.Second)
	orDefault(&t.RemindAfter, time.Hour)
	orDefault(&t.RemindMost, 8*time.Hour)
	orDefault(&t.Storm, 20)
	return problems
}

// slowest and fastest are the least and the most messages that a target may take in a second:
// one a day, and more than any takes.
const slowest, fastest = 1e-5, 1e6

func (r *Route) setDefaults(targets map[string]Target) (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: router: route %q: "+format, append([]any{r.Name}, args...)...))
	}
	if !isName(r.Name) {
		bad("the name must be of letters, digits, - and _, at most %d characters", maxName)
	}
	if len(r.Targets) == 0 {
		bad("names no target")
	}
	for _, name := range r.Targets {
		switch t, ok := targets[name]; {
		case !ok:
			bad("there is no target %q", name)
		case t.Audience == Everyone:
			bad("target %q is for everyone, and gets posts and no alerts", name)
		}
	}
	if err := r.Match.validate(); err != nil {
		bad("%w", err)
	}
	if r.Update < 0 {
		bad("Update is negative")
	}
	if len(r.GroupBy) == 0 {
		r.GroupBy = []string{"rule", "environment"}
	}
	r.Match, r.Targets, r.GroupBy = r.Match.clone(), slices.Clone(r.Targets), slices.Clone(r.GroupBy)
	orDefault(&r.Wait, 30*time.Second)
	orDefault(&r.Update, 5*time.Minute)
	return problems
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func isName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
