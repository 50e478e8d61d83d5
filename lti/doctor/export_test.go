package doctor

import "net/http"

// For fuzzing and tables.
var (
	ForbidsFrame = forbidsFrame
	Registered   = registered
	ReadRefusal  = readRefusal
)

// InspectCookie returns how many faults a cookie has.
func InspectCookie(line string) (dropped, exposed int, blocked, ok bool) {
	c, ok := inspectCookie(line)
	return len(c.dropped), len(c.exposed), c.blocked, ok
}

// ParseRedirect reports whether a Location can be taken apart.
func ParseRedirect(location string) bool { return parseRedirect(location) != nil }

// JudgeLocation looks at a login that leads to a location, with cookies.
func (d *Doctor) JudgeLocation(location string, cookies ...string) error {
	f := &facts{logins: d.cfg.loginTries()}
	for i := range f.logins {
		f.logins[i].answer = answer{asked: "POST", status: http.StatusFound, header: http.Header{"Location": {location}, "Set-Cookie": cookies}}
	}
	return d.judge(f, (*exam).login)
}

// JudgeKeySet looks at a published key set.
func (d *Doctor) JudgeKeySet(body []byte) error {
	f := &facts{ownKeys: answer{asked: "GET", status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: body}}
	return d.judge(f, (*exam).ownKeySet)
}

func (d *Doctor) judge(f *facts, look func(*exam)) error {
	x := &exam{cfg: &d.cfg, facts: f}
	look(x)
	x.d.Time, x.d.Subject = f.began.AddDate(1, 0, 0), "fuzz"
	x.right("something")
	x.d.Sort()
	return x.d.Validate()
}
