package statuspage

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/health"
)

const (
	fresh       = time.Second     // how old a page may be before it is looked at anew
	bearable    = 3 * time.Second // how old it may be while that is under way
	eventsAfter = 5 * time.Second
	pastAfter   = time.Minute
)

// A Page is a status page, an [http.Handler]. Make one with [NewPublic] or
// [NewPrivate]. It is safe for concurrent use.
type Page struct {
	cfg      Config
	names    map[string]string // of components, by ID
	render   renderer
	policy   string // Content-Security-Policy
	private  bool
	born     time.Time
	details  http.Handler // application/health+json of a private page
	lost     *answer      // what there is not
	redirect string

	events source[Events]
	past   source[*past]

	shown  atomic.Pointer[snapshot]
	mu     sync.Mutex
	making chan struct{} // closed when the snapshot that is being made is there; nil if none is
	told   string        // the problems that were logged last
}

var _ http.Handler = (*Page)(nil)

// A renderer makes the documents for people. It is what a public and a private page
// differ in.
type renderer interface {
	// look returns what is to be rendered, made of one report of the Monitor.
	look(p *Page, r *health.Report, m *model, problems []string) view
}

// A view is what there is to render at one time.
type view interface {
	// same reports whether a view shows the same as another one.
	same(other view) bool
	// front, component, history and event write the documents.
	front() ([]byte, error)
	component(id string) ([]byte, error)
	history() ([]byte, error)
	event(id string) ([]byte, error)
}

// A snapshot is the page at one time.
type snapshot struct {
	looked  time.Time
	report  *health.Report
	serials [2]uint64
	view    view
	answers map[string]*lazily // by path
}

// NewPublic returns a page for everybody. The error lists everything that is wrong
// with cfg.
func NewPublic(cfg Config) (*Page, error) { return newPage(cfg, false) }

// NewPrivate returns a page for the people who operate the host: with the checks
// behind the components, their causes, messages and measurements, the checks that
// are no component's, and how the Monitor itself is doing. The host must guard it:
// the page asks nobody who they are. The error lists everything that is wrong with
// cfg.
func NewPrivate(cfg Config) (*Page, error) { return newPage(cfg, true) }

func newPage(cfg Config, private bool) (*Page, error) {
	cfg, err := cfg.complete(!private)
	if err != nil {
		return nil, err
	}
	p := &Page{cfg: cfg, private: private, names: make(map[string]string), born: time.Now(), redirect: cfg.URL, policy: policy(style)}
	for _, c := range cfg.Components {
		p.names[c.ID] = c.Name
	}
	var t *template.Template
	if private {
		t = parse("private")
		p.render = privateRenderer{t, cfg}
		p.details = health.NewDetailHandler(cfg.Monitor, health.Info{Description: cfg.Title})
	} else {
		t = parse("public")
		p.render = publicRenderer{t, cfg}
	}
	p.lost = p.answer(http.StatusNotFound, typeHTML, notFound(t, cfg))
	p.events = source[Events]{what: "events", every: eventsAfter, old: 6 * eventsAfter, log: cfg.Logger, ask: func(ctx context.Context, _ Events) (Events, error) { return cfg.Events(ctx) }}
	p.past = source[*past]{what: "history", every: pastAfter, old: 10 * pastAfter, log: cfg.Logger, ask: p.readPast}
	return p, nil
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if path == r.URL.Path { // the prefix without its slash, from where links would lead elsewhere
		http.Redirect(w, r, p.redirect, http.StatusTemporaryRedirect)
		return
	}
	if path == "health+json" && p.details != nil {
		p.details.ServeHTTP(w, r)
		return
	}
	s := p.current(r.Context())
	if s == nil {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "the status page is not ready yet", http.StatusServiceUnavailable)
		return
	}
	a := p.lost
	l := s.answers[path]
	if api, ok := strings.CutPrefix(path, "api/v2/"); ok && strings.HasSuffix(path, ".json") {
		l = s.answers[api]
	}
	if l != nil {
		if !l.asked.Load() {
			l.asked.Store(true)
		}
		a = l.get()
	}
	p.serve(w, r, a)
}

// current returns the snapshot to serve. When it is time, one that is newer is
// made, by one goroutine for all who ask, and not in vain if they go away. Who asks
// waits for it only if what there is is too old. It is nil if there is none and the
// context has ended.
func (p *Page) current(ctx context.Context) *snapshot {
	s := p.shown.Load()
	age := bearable
	if s != nil {
		if age = time.Since(s.looked); age < fresh {
			return s
		}
	}
	p.mu.Lock()
	if made := p.shown.Load(); made != s { // meanwhile
		p.mu.Unlock()
		return made
	}
	made := p.making
	if made == nil {
		made = make(chan struct{})
		p.making = made
		go p.look(context.WithoutCancel(ctx), s, made)
	}
	p.mu.Unlock()
	if age < bearable {
		return s
	}
	select {
	case <-made:
	case <-ctx.Done():
	}
	return p.shown.Load()
}

// look makes a snapshot of how things are now.
func (p *Page) look(ctx context.Context, last *snapshot, made chan struct{}) {
	var events said[Events]
	var history said[*past]
	if p.cfg.Events != nil {
		events = p.events.get(ctx)
	}
	if p.cfg.History != nil {
		history = p.past.get(ctx)
	}
	s := &snapshot{looked: time.Now(), report: p.cfg.Monitor.Snapshot(), serials: [2]uint64{events.serial, history.serial}}
	m, problems := p.model(s.report, events, history)
	if events.err != nil {
		problems = append(problems, "events: "+events.err.Error())
	}
	if history.err != nil {
		problems = append(problems, "history: "+history.err.Error())
	}
	p.tell(ctx, problems)
	s.view = p.render.look(p, s.report, m, problems)
	if last != nil && s.view.same(last.view) {
		s.view, s.answers = last.view, last.answers
	} else {
		s.answers = p.answers(s.view, m)
		s.prepare(last)
	}
	p.mu.Lock()
	p.shown.Store(s)
	p.making = nil
	p.mu.Unlock()
	close(made)
}

// prepared is how many documents are made before somebody asks for them.
const prepared = 20

// prepare makes the page, and what was asked for lately, so that nobody waits for
// them.
func (s *snapshot) prepare(last *snapshot) {
	s.answers[""].get()
	if last == nil {
		return
	}
	left := prepared
	for path, l := range last.answers {
		if now := s.answers[path]; now != nil && left > 0 && l.asked.Load() {
			now.get()
			left--
		}
	}
}

// tell logs what is wrong with what the host gives, when that changes.
func (p *Page) tell(ctx context.Context, problems []string) {
	all := strings.Join(problems, "\n")
	p.mu.Lock()
	changed := all != p.told
	p.told = all
	p.mu.Unlock()
	if changed && all != "" {
		p.cfg.Logger.WarnContext(ctx, "status page: not everything can be shown as it was given", "problems", problems)
	}
}

// answers returns everything that the page can answer with, by path. Each is made
// when it is asked for.
func (p *Page) answers(v view, m *model) map[string]*lazily {
	all := make(map[string]*lazily, 16+2*len(m.Components)+len(m.Events))
	add := func(path, contentType string, write func() ([]byte, error)) {
		all[path] = &lazily{make: func() *answer {
			body, err := write()
			if err != nil {
				p.cfg.Logger.Error("status page: a document cannot be rendered", "path", path, "error", err)
				return p.answer(http.StatusInternalServerError, typeText, []byte("this page cannot be shown\n"))
			}
			return p.answer(http.StatusOK, contentType, body)
		}}
	}
	add("", typeHTML, v.front)
	add("history", typeHTML, v.history)
	add("feed.atom", typeAtom, func() ([]byte, error) { return p.feed(m) })
	add("badge.svg", typeSVG, func() ([]byte, error) { return badge(p.cfg.Title, m.Overall.Words, m.Overall.Condition), nil })
	for i := range m.Components {
		c := &m.Components[i]
		add("components/"+c.ID, typeHTML, func() ([]byte, error) { return v.component(c.ID) })
		add("badge/"+c.ID+".svg", typeSVG, func() ([]byte, error) { return badge(c.Name, c.Condition.Words(), c.Condition), nil })
	}
	for _, e := range m.Events {
		add("incidents/"+e.ID, typeHTML, func() ([]byte, error) { return v.event(e.ID) })
	}
	for name, write := range p.api(m) {
		add(name, typeJSON, write)
	}
	if !p.private {
		all["health+json"] = &lazily{make: func() *answer { return p.healthJSON(m) }}
	}
	return all
}

// refresh returns the seconds after which a visitor wants the page again, or "".
func refresh(query string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if text, ok := strings.CutPrefix(pair, "refresh="); ok {
			if n, err := strconv.Atoi(text); err == nil && n >= 10 && n <= 3600 {
				return strconv.Itoa(n)
			}
		}
	}
	return ""
}

// errNothing means that a document does not exist, which its path excludes.
var errNothing = errors.New("there is nothing of that ID")

func nothing(kind, id string) error { return fmt.Errorf("%s %q: %w", kind, id, errNothing) }
