package ltitest

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A Case is a message that is good, or bad in one way, for tests of tools; see
// [Cases].
type Case struct {
	// ID names the case: "B1" to "B12", "I1" to "I9" and "S1" to "S9" are those of
	// the LTI Advantage certification guide 1.3, section 6, where a suffix tells
	// variants apart; what begins with "BEYOND-" is not part of it.
	ID string
	// Name says what it is.
	Name string
	// Accept says whether a tool must accept it.
	Accept bool
	// Choice says that the specifications leave it to the tool, or contradict each
	// other; Accept is then what a strict tool does.
	Choice bool
	// NeedsOddKeys says that the case needs [Platform].OddKeys.
	NeedsOddKeys bool
	// NeedsTrust says that the case needs a tool that trusts [TrustedAudience].
	NeedsTrust bool

	change func(f *forgery)
}

// TrustedAudience is the audience beside the tool in cases with NeedsTrust;
// EvilAudience is one that nobody trusts.
const (
	TrustedAudience = "https://trusted.example"
	EvilAudience    = "https://evil.example"
)

// A forgery is an answer of the platform that a case changes.
type forgery struct {
	p      *Platform
	client string
	now    time.Time
	claims map[string]any
	how    Signing
	// token replaces the signed token if it is not empty.
	token string
	// form changes the form around it.
	form func(r *Response)
}

// form makes the answer of a case. The claims are those of the message.
func (c *Case) form(p *Platform, t *tool, claims map[string]any, now time.Time, r *Response) {
	f := &forgery{p: p, client: t.ClientID, now: now, claims: maps.Clone(claims)}
	if c.change != nil {
		c.change(f)
	}
	if f.token == "" {
		f.token = p.sign(f.claims, f.how)
	}
	r.Form.Set("id_token", f.token)
	if f.form != nil {
		f.form(r)
	}
}

// Token returns the token of a case for a client and a nonce, without a login
// and without a form. The message is a plain resource link in the tool.
func (p *Platform) Token(c Case, clientID, nonce string) string {
	defer p.lock()()
	t, m := p.complete(Message{ClientID: clientID})
	claims := p.claims(t, &m, p.now())
	claims["nonce"] = nonce
	var r Response
	r.Form = map[string][]string{}
	c.form(p, t, claims, p.now(), &r)
	return r.Form.Get("id_token")
}

// Cases returns all cases, good and bad. Each call returns a new slice. Use
// [Platform.AuthorizeCase] with each in turn, for a message of a login of its own.
func Cases() []Case {
	return slices.Concat(badCases(), goodCases("I", Instructor), goodCases("S", Student), audienceCases(), signatureCases(), payloadCases(), timeCases(), formCases())
}

// FindCase returns a case by its ID. It panics if there is none.
func FindCase(id string) Case {
	for _, c := range Cases() {
		if c.ID == id {
			return c
		}
	}
	panic("ltitest: there is no case " + id)
}

// with sets claims; nil is null.
func with(pairs ...any) func(*forgery) {
	return func(f *forgery) {
		for i := 0; i+1 < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			f.claims[name] = pairs[i+1]
		}
	}
}

// without takes claims away.
func without(names ...string) func(*forgery) {
	return func(f *forgery) {
		for _, name := range names {
			delete(f.claims, name)
		}
	}
}

// signed changes how the token is signed.
func signed(how func(f *forgery) Signing) func(*forgery) {
	return func(f *forgery) { f.how = how(f) }
}

// payload replaces the JSON of the payload.
func payload(change func(f *forgery, text string) string) func(*forgery) {
	return func(f *forgery) { f.how.Payload = []byte(change(f, string(mustJSON(f.claims)))) }
}

func bad(id, name string, change func(*forgery)) Case {
	return Case{ID: id, Name: name, change: change}
}
func good(id, name string, change func(*forgery)) Case {
	return Case{ID: id, Name: name, Accept: true, change: change}
}

func (c Case) choice() Case { c.Choice = true; return c }
func (c Case) odd() Case    { c.NeedsOddKeys = true; return c }
func (c Case) trust() Case  { c.NeedsTrust = true; return c }

// badCases are the known bad payloads of the certification.
func badCases() []Case {
	return []Case{
		bad("B1", "no kid in the header", signed(func(*forgery) Signing { return Signing{Header: map[string]any{"kid": nil}} })),
		bad("B2", "a kid that the platform does not have", signed(func(*forgery) Signing { return Signing{KID: "imstester_66067"} })),
		bad("B3", "another LTI version", with(claim+"version", "11.3")),
		bad("B4", "no LTI version", without(claim+"version")),
		bad("B5", "no LTI 1.3 message at all", func(f *forgery) {
			f.claims = map[string]any{"name": "badltilaunch"}
		}),
		bad("B5-TEXT", "no JWT at all", func(f *forgery) { f.token = "lti_message_type=basic-lti-launch-request" }),
		bad("B6", "the claims of OpenID Connect only", func(f *forgery) {
			maps.DeleteFunc(f.claims, func(name string, _ any) bool { return strings.HasPrefix(name, "https://") })
		}),
		bad("B7", "iat and exp are wrong", func(f *forgery) { with("iat", 11111, "exp", 22222)(f) }),
		bad("B7-FUTURE", "iat and exp of next year", func(f *forgery) {
			next := f.now.AddDate(1, 0, 0)
			with("iat", next.Unix(), "exp", next.Add(time.Hour).Unix())(f)
		}),
		bad("B8", "no message type", without(claim+"message_type")),
		bad("B9", "no roles claim", without(claim+"roles")),
		bad("B10", "no deployment id", without(claim+"deployment_id")),
		bad("B11", "no resource_link.id", with(claim+"resource_link", map[string]any{"title": "Practical 1"})),
		bad("B11-CLAIM", "no resource_link", without(claim+"resource_link")),
		// LTI Core 1.3, section 5.3.6.1, has it as an anonymous launch.
		bad("B12", "no sub", without("sub")).choice(),
	}
}

// goodCases are the nine launches of the certification for one kind of user.
func goodCases(prefix, user string) []Case {
	context, institution, short := RoleInstructor, RoleInstitutionStaff, "Instructor"
	if user == Student {
		context, institution, short = RoleLearner, RoleInstitutionStudent, "Learner"
	}
	as := func(roles []string, changes ...func(*forgery)) func(*forgery) {
		return func(f *forgery) {
			f.become(user)
			with(claim+"roles", roles)(f)
			for _, change := range changes {
				change(f)
			}
		}
	}
	plain := []string{context}
	noNames := without("name", "given_name", "family_name", "middle_name", "picture")
	who := map[string]string{Instructor: "an instructor", Student: "a student"}[user]
	one := func(n, name string, change func(*forgery)) Case { return good(prefix+n, name+", for "+who, change) }
	return []Case{
		one("1", "a plain launch", as(plain)),
		one("2", "several roles", as([]string{context, institution, "http://purl.imsglobal.org/vocab/lis/v2/system/person#User"})),
		one("3", "a short role", as([]string{short})),
		one("4", "a role of no vocabulary", as([]string{"http://purl.imsglobal.org/vocab/lis/v2/unknown/unknown#Helper"})),
		one("5", "no role", as([]string{})),
		one("5-EMPTY", "no role, as an empty text", as([]string{""})),
		one("6", "the email address only", as(plain, noNames)),
		one("7", "names only", as(plain, without("email", "picture"))),
		one("8", "no personal data", as(plain, noNames, without("email", "locale"))),
		one("9", "an email address and no context", as(plain, noNames, without(claim+"context", claimAGS, claimNRPS))),
	}
}

// become makes the message one of another member.
func (f *forgery) become(user string) {
	without("name", "given_name", "family_name", "middle_name", "email", "picture", "locale")(f)
	f.claims["sub"] = user
	people := defaultCourse().Members
	for i := range people {
		if people[i].User.ID == user {
			personal(f.claims, &people[i].User, PrivacyPublic)
		}
	}
}
