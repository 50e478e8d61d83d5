package main

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"time"
)

// A ltiLibrary is one row of the table of launches.
type ltiLibrary struct {
	name string
	// form says that it begins with the form that the browser posts, and not with
	// the token in it.
	form bool
	// claims is what it makes of the payload.
	claims string
	// checks are what it looks at besides the signature.
	checks []string
	// open reports whether a launch is accepted.
	open func(posted) bool
}

// A posted is a launch on its way: the whole request, and the token in it.
type posted struct {
	request *http.Request
	token   string
}

// rewind lets the request be read once more.
func (l posted) rewind() (err error) {
	l.request.Body, err = l.request.GetBody()
	return err
}

// post has a launch begun by the tool's login, and posted with claims that
// change has changed.
func post(p *ltiPlatform, login http.Handler, change func(claims map[string]any)) posted {
	start := url.Values{
		"iss": {ltiIssuer}, "client_id": {ltiClient}, "login_hint": {"5f2b1f0c"}, "target_link_uri": {ltiTarget}, "lti_deployment_id": {ltiDeployment},
	}
	w := &blankWriter{header: http.Header{}}
	login.ServeHTTP(w, formPost("https://qa.example.edu/lti/login", start.Encode()))
	location, err := url.Parse(w.header.Get("Location"))
	must(err)
	state, nonce := location.Query().Get("state"), location.Query().Get("nonce")
	cookie, _, _ := strings.Cut(w.header.Get("Set-Cookie"), ";")

	claims := canvasClaims(nonce)
	if change != nil {
		change(claims)
	}
	token := p.sign(claims)
	r := formPost("https://qa.example.edu/lti/launch", url.Values{"state": {state}, "id_token": {token}}.Encode())
	r.Header.Set("Cookie", "session=abcdef0123456789; "+cookie)
	return posted{r, token}
}

func formPost(address, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(body))
	must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// A batch is what many launches took.
type batch struct {
	cpu               time.Duration // of the process, so that other work does not count
	allocations, size uint64
}

const batchSize = 512 // enough that the tokens do not stay in the cache

// ltiTable prints what a launch takes on one core: the fastest of some batches.
// The libraries take turns with the same launches, so that a disturbance does not
// hit one of them alone.
func ltiTable(count int) {
	runtime.GOMAXPROCS(1)
	p := newLTIPlatform()
	tool := newLTITool(p)
	login, libraries := tool.LoginHandler(), ltiLibraries(p, tool)
	fastest := make([]batch, len(libraries))
	var all [batchSize]posted
	for round := range max(count, 1) + 1 { // the first is to warm up
		for i := range all {
			all[i] = post(p, login, nil)
		}
		for i, l := range libraries {
			if b := l.measure(all[:]); round == 1 || round > 1 && b.cpu < fastest[i].cpu {
				fastest[i] = b
			}
		}
	}
	fmt.Printf("| %s, token of %d bytes | begins with | claims | checks beside the signature | processor time | per s and core | of the floor | allocations |\n",
		machine(), len(all[0].token))
	fmt.Println("|" + strings.Repeat("---|", 8))
	for i, l := range libraries {
		fmt.Println(l.row(fastest[i], fastest[0]))
	}
}

// measure has the library take launches.
func (l ltiLibrary) measure(all []posted) batch {
	var before, after runtime.MemStats
	runtime.GC() // of what the one before has left
	runtime.ReadMemStats(&before)
	from := cpuTime()
	for _, launch := range all {
		if !l.open(launch) {
			panic(l.name + " refuses a launch")
		}
	}
	cpu := cpuTime() - from
	runtime.ReadMemStats(&after)
	return batch{cpu, after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc}
}

func (l ltiLibrary) row(b, floor batch) string {
	begins, checks := "token", none
	if l.form {
		begins = "form"
	}
	if len(l.checks) > 0 {
		checks = strings.Join(l.checks, ", ")
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %.0f | %.2f | %d, %.1f KB |", l.name, begins, l.claims, checks,
		short(b.cpu/batchSize), batchSize/b.cpu.Seconds(), b.cpu.Seconds()/floor.cpu.Seconds(), b.allocations/batchSize, float64(b.size)/batchSize/1e3)
}
