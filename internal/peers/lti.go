package main

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
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

// ltiTable prints what a launch takes, on one core. The libraries take turns, so
// that a disturbance does not hit one of them alone.
func ltiTable(count int) {
	runtime.GOMAXPROCS(1)
	p := newLTIPlatform()
	tool := newLTITool(p)
	login := tool.LoginHandler()
	libraries := ltiLibraries(p, tool)
	shared := launches(p, login) // for those to whom a token may come twice
	fastest := make([]testing.BenchmarkResult, len(libraries))
	for range count {
		for i, l := range libraries {
			if r := launchBenchmark(p, login, l, shared); fastest[i].N == 0 || r.NsPerOp() < fastest[i].NsPerOp() {
				fastest[i] = r
			}
		}
	}
	fmt.Printf("| %s, token of %d bytes | begins with | claims | checks beside the signature | per launch | per s and core | of the floor | allocations |\n",
		machine(), len(shared[0].token))
	fmt.Println("|" + strings.Repeat("---|", 8))
	for i, l := range libraries {
		begins, checks := "token", none
		if l.form {
			begins = "form"
		}
		if len(l.checks) > 0 {
			checks = strings.Join(l.checks, ", ")
		}
		ns := float64(fastest[i].T.Nanoseconds()) / float64(fastest[i].N)
		fmt.Printf("| %s | %s | %s | %s | %.1f µs | %.0f | %.2f | %d, %.1f KB |\n", l.name, begins, l.claims, checks,
			ns/1e3, 1e9/ns, ns*float64(fastest[0].N)/float64(fastest[0].T.Nanoseconds()), fastest[i].AllocsPerOp(), float64(fastest[i].AllocedBytesPerOp())/1e3)
	}
}

// launches are different ones, enough that none of them stays in the cache.
func launches(p *ltiPlatform, login http.Handler) []posted {
	all := make([]posted, 512)
	for i := range all {
		all[i] = post(p, login, nil)
	}
	return all
}

func launchBenchmark(p *ltiPlatform, login http.Handler, l ltiLibrary, shared []posted) testing.BenchmarkResult {
	return testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		all := shared
		for i := 0; b.Loop(); i++ {
			if l.form && i%len(all) == 0 {
				b.StopTimer()
				all = launches(p, login)
				b.StartTimer()
			}
			if !l.open(all[i%len(all)]) {
				panic(l.name + " refuses a launch")
			}
		}
	})
}
