package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"

	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// kinds are the faults that are drawn at random: all that the world has, but for the one that
// begins hours after it is announced, when pairs are not watched any more.
func kinds() []string {
	return slices.DeleteFunc(world.Kinds(), func(kind string) bool { return kind == world.CanvasAnnounced })
}

// inBubble runs each exercise in a bubble of virtual time, in which hours pass at once. Several
// may be run at the same time.
func inBubble(t *testing.T) func(scenario, uint64, func(string)) *history {
	return func(s scenario, seed uint64, follow func(string)) *history {
		h := &history{Whole: true, Failure: "the exercise came to no end"}
		t.Run(s.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone, err := health.LoadZone("Australia/Sydney")
				if err != nil {
					h.Failure = err.Error()
					return
				}
				time.Sleep(time.Until(beginning(s, time.Now().In(zone))))
				h = exercise(t.Context(), s, drawFrom(s, seed), follow)
			})
		})
		return h
	}
}

// beginning is when a scenario begins: at its hour of the next Tuesday, or Sunday.
func beginning(s scenario, now time.Time) time.Time {
	day := time.Tuesday
	if s.Weekend {
		day = time.Sunday
	}
	ahead := (int(day-now.Weekday())+7)%7 + 7
	hour := s.At - 20*time.Minute // what goes wrong does some minutes later
	return time.Date(now.Year(), now.Month(), now.Day()+ahead, 0, int(hour.Minutes()), 0, 0, now.Location())
}

// A stage is where one exercise takes place: the world, and the host in it.
type stage struct {
	scenario scenario
	draw     draw
	follow   func(string)
	world    *world.World
	journal  journal
	host     *host.Host
	crew     crew
	evidence evidence

	began     time.Time // of the first fault
	variables map[string]string
	reported  string // the incident that a person opened, until they close it
	waiting   []drawn
	told      int // how many acts were followed
	killed    chan struct{}
	kill      sync.Once
	again     time.Time // when a host is started again; zero: one lives
	hosts     int
	done      []act
}

// atOnce runs an exercise at the speed of the clock on the wall. What goes wrong begins two
// minutes after the host, and it ends two minutes after all is over; nothing else is shorter
// than it really is.
func atOnce(ctx context.Context) func(scenario, uint64, func(string)) *history {
	return func(s scenario, seed uint64, follow func(string)) *history {
		d := drawFrom(s, seed)
		d.Offset, d.Calm = 2*time.Minute, 2*time.Minute
		follow("The host starts; what goes wrong begins in " + short(d.Offset) + ".")
		return exercise(ctx, s, d, follow)
	}
}

// exercise carries out one scenario, at the speed of the clock that package time has.
func exercise(ctx context.Context, s scenario, d draw, follow func(string)) *history {
	st := &stage{scenario: s, draw: d, follow: follow, killed: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h, err := st.play(ctx)
	if h == nil {
		h = &history{Began: time.Now(), Ended: time.Now(), Whole: true}
	}
	if err != nil {
		h.Failure = err.Error()
	}
	return h
}

// play sets the stage, plays the scenario, and clears the stage.
func (st *stage) play(ctx context.Context) (h *history, err error) {
	zone, err := health.LoadZone("Australia/Sydney")
	if err != nil {
		return nil, err
	}
	if st.world, err = world.New(world.Config{Seed: st.draw.Seed, Zone: zone}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.world.Close()) }()
	if err := st.start(ctx, zone); err != nil {
		return nil, err
	}
	st.crew.draw, st.crew.script = st.draw, st.scenario.People
	st.crew.mend, st.crew.happened = st.mend, st.happened
	st.crew.makes = map[string]func() map[string]string{"new-key": func() map[string]string { return map[string]string{"client_id": st.world.NewKey()} }}
	if err = st.sleep(ctx, st.draw.Offset); err == nil {
		st.began, st.variables = time.Now(), st.world.Truth().Variables
		st.waiting = slices.Clone(st.draw.Faults)
		err = st.watch(ctx, zone)
	}
	ctx = context.WithoutCancel(ctx) // what there is to tell is told, also after an interrupt
	h, err2 := st.collect(ctx)
	if st.host != nil {
		err2 = errors.Join(err2, st.host.Stop(ctx))
	}
	return h, errors.Join(err, err2)
}

// start starts a host; after the first, another one that finds what that has recorded.
func (st *stage) start(ctx context.Context, zone *time.Location) error {
	st.hosts++
	store, alerts, runs := st.journal.process(fmt.Sprintf("host-%d", st.hosts))
	connections := st.world.Connections()
	if st.scenario.Replaced != "" && st.hosts == 1 {
		for i, c := range connections {
			if c.Name == production {
				connections[i].Railway.HTTP = &http.Client{Transport: &deadly{stage: st, next: c.Railway.HTTP.Transport}}
			}
		}
	}
	defaults := playbooks.Defaults{Security: "security@acu.edu.au", Escalation: host.RehearsalNumbers()}
	policies := []incident.AutomationPolicy{{Environment: production, Mode: incident.Act, PerHour: 5}}
	h, err := host.New(ctx, host.Config{
		Connections: connections, Channels: st.world.Channels(), People: host.RehearsalPeople(),
		Store: store, Alerts: alerts, Runs: runs, Policies: policies, Defaults: defaults, Zone: zone,
		Playbooks: st.scenario.Playbooks, Evidence: &st.evidence, Seal: st.evidence.seal, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	st.host = h
	st.crew.manager, st.crew.runner = h.Manager(), h.Runner()
	for _, p := range host.RehearsalPeople() {
		if !slices.Contains(st.crew.names, p.Name) {
			st.crew.names = append(st.crew.names, p.Name)
		}
	}
	return h.Start(ctx)
}

// Often enough that people and faults are on time, and seldom enough for a day.
const turn = 15 * time.Second

// watch lets things go wrong and people act until all is over, or the time is.
func (st *stage) watch(ctx context.Context, zone *time.Location) error {
	end := st.began.Add(st.scenario.Watch)
	quiet := 0
	for time.Now().Before(end) {
		if err := st.inject(); err != nil {
			return err
		}
		if err := st.live(ctx, zone); err != nil {
			return err
		}
		if st.host != nil && st.again.IsZero() {
			if err := st.declare(ctx); err != nil {
				return err
			}
			if err := st.conclude(ctx); err != nil {
				return err
			}
			if err := st.crew.turn(ctx); err != nil {
				return err
			}
		}
		st.tell()
		if over, err := st.over(ctx); err != nil {
			return err
		} else if !over {
			quiet = 0
		} else if quiet++; quiet >= int(st.draw.Calm/turn) {
			return nil
		}
		if err := st.sleep(ctx, turn); err != nil {
			return err
		}
	}
	return nil
}

// inject lets begin what is due.
func (st *stage) inject() error {
	for len(st.waiting) > 0 && time.Since(st.began) >= st.waiting[0].After {
		f := st.waiting[0]
		st.waiting = st.waiting[1:]
		given := world.Fault{Kind: f.Kind, For: f.For}
		if f.Variant != "" {
			given.Param = map[string]string{"variant": f.Variant}
		}
		st.follow(fmt.Sprintf("%s (hidden) %s begins", after(time.Since(st.began)), f.Kind))
		if err := st.world.Inject(given); err != nil {
			return err
		}
	}
	return nil
}

// live drops the host when it was killed, and starts another one five minutes later.
func (st *stage) live(ctx context.Context, zone *time.Location) error {
	select {
	case <-st.killed:
		if st.hosts == 1 && st.host != nil {
			st.host.Kill()
			st.host, st.again = nil, time.Now().Add(5*time.Minute)
			st.note("host-killed", "")
		}
	default:
	}
	if !st.again.IsZero() && !time.Now().Before(st.again) {
		st.again = time.Time{}
		st.note("host-started", "")
		return st.start(ctx, zone)
	}
	return nil
}

func (st *stage) note(kind, detail string) {
	st.done = append(st.done, act{At: time.Now(), Kind: kind, Detail: detail})
}

// declare opens the incident that a person reports, and starts the playbook for it.
func (st *stage) declare(ctx context.Context) error {
	d := st.scenario.People.Declare
	if d == nil || time.Since(st.began) < st.draw.Declare || slices.ContainsFunc(st.done, func(a act) bool { return a.Kind == "reported" }) {
		return nil
	}
	st.note("reported", d.Title)
	reporter := st.crew.names[len(st.crew.names)-1]
	i, err := st.host.Manager().Open(ctx, incident.Opening{
		By: reporter, Title: d.Title, Environment: production, Severity: d.Severity, Playbook: d.Playbook,
	})
	if err != nil {
		return fmt.Errorf("report %q: %w", d.Title, err)
	}
	st.reported = i.ID
	_, err = st.host.Runner().Start(ctx, incident.Request{
		Environment: production, Playbook: d.Playbook, Parameters: d.Parameters, By: reporter, Incident: i.ID,
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", d.Playbook, err)
	}
	return nil
}

// conclude resolves, as the person who reported it does, an incident that no alert will end,
// when its run has been over for a while and users are served.
func (st *stage) conclude(ctx context.Context) error {
	d := st.scenario.People.Declare
	if d == nil || st.reported == "" || !st.world.Truth().Served {
		return nil
	}
	for run, err := range st.host.Runner().Runs(ctx, incident.RunQuery{Program: incident.PlaybookProgram, Labels: map[string]string{"incident": st.reported}}) {
		if err != nil {
			return err
		}
		if run.Ended.IsZero() || time.Since(run.Ended) < 20*time.Minute {
			return nil
		}
	}
	_, err := st.host.Manager().Resolve(ctx, st.reported, incident.Resolution{By: st.crew.names[len(st.crew.names)-1], Resolution: "What was to be done is done."})
	st.reported = ""
	return err
}

// over reports whether nothing is wrong any more, and nobody works on anything.
func (st *stage) over(ctx context.Context) (bool, error) {
	if st.host == nil || len(st.waiting) > 0 || time.Since(st.began) < st.scenario.Least || st.scenario.People.Declare != nil && time.Since(st.began) < time.Hour {
		return false, nil
	}
	for _, f := range st.world.Truth().Faults {
		if f.To.IsZero() {
			return false, nil
		}
	}
	for _, err := range st.host.Manager().Incidents(ctx, incident.IncidentQuery{Open: true, Limit: 1}) {
		return false, err
	}
	active := []incident.RunStatus{incident.RunQueued, incident.RunRunning}
	for _, err := range st.host.Runner().Runs(ctx, incident.RunQuery{Program: incident.PlaybookProgram, Statuses: active, Limit: 1}) {
		return false, err
	}
	return true, nil
}

// mend removes the cause of a fault, if it is there, as somebody outside does.
func (st *stage) mend(kind string) error {
	for _, f := range st.world.Truth().Faults {
		if f.Kind == kind && f.To.IsZero() {
			return st.world.Mend(kind)
		}
	}
	return nil
}

// happened reports whether there was an act of one of the kinds since a time.
func (st *stage) happened(since time.Time, kinds ...string) bool {
	return slices.ContainsFunc(st.world.Acts(), func(a world.Act) bool { return !a.At.Before(since) && slices.Contains(kinds, a.Kind) })
}

// tell follows what was done since the last time.
func (st *stage) tell() {
	all := st.world.Acts()
	for _, a := range all[min(st.told, len(all)):] {
		line := act{At: a.At, Environment: a.Environment, Kind: a.Kind, Detail: a.Detail, Text: a.Text}
		st.follow(fmt.Sprintf("%s %s: %s", after(a.At.Sub(st.began)), line, shorten(a.Text, 300)))
	}
	st.told = len(all)
}

func (st *stage) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deadly is the way to the platform of a host that dies in the middle: right after the act of
// which the scenario speaks, and before the answer is there.
type deadly struct {
	stage *stage
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (d *deadly) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := d.next.RoundTrip(r)
	if !slices.ContainsFunc(d.stage.world.Acts(), func(a world.Act) bool { return a.Environment == production && a.Kind == d.stage.scenario.Replaced }) {
		return answer, err
	}
	if err == nil {
		answer.Body.Close()
	}
	d.stage.journal.kill() // it writes nothing any more
	d.stage.kill.Do(func() { close(d.stage.killed) })
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// evidence keeps what is secured of a breach, encrypted to somebody who is not there, and
// notes when.
type evidence struct {
	incidenttest.EvidenceStore
	mu   sync.Mutex
	acts []act
}

// Keep implements [incident.EvidenceStore].
func (e *evidence) Keep(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := e.EvidenceStore.Keep(ctx, name, write); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.acts = append(e.acts, act{At: time.Now(), Kind: "evidence", Detail: name})
	return nil
}

func (e *evidence) seal(w io.Writer) (io.WriteCloser, error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	return age.Encrypt(w, key.Recipient())
}
