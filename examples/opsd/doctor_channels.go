package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// services are where the doctor asks the ways to tell people. Tests have others.
type services struct {
	slack, twilio string
	http          *http.Client
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
}

// reachable are the real services.
func reachable() services {
	return services{
		slack: "https://slack.com/api", twilio: "https://api.twilio.com", http: direct(),
		dial: (&net.Dialer{Timeout: askWithin}).DialContext,
	}
}

// askWithin is how long a service has to answer.
const askWithin = 10 * time.Second

// channels asks the ways to tell people who they take opsd for. Nothing is sent to anybody.
func (d *diagnosis) channels(ctx context.Context, c channels, at services) {
	if c.Slack != nil {
		d.slack(ctx, c.Slack, at)
	}
	if c.Mail != nil {
		d.mail(ctx, c.Mail, at)
	}
	if c.Phone != nil {
		account := c.Phone.Account.Reveal()
		d.asked(ctx, at, "phone", "the account of Twilio", at.twilio+"/2010-04-01/Accounts/"+url.PathEscape(account)+".json", func(r *http.Request) { r.SetBasicAuth(account, c.Phone.Token.Reveal()) }, func(body []byte) string {
			var in struct {
				Status string `json:"status"`
			}
			if err := json.Unmarshal(body, &in); err != nil || in.Status == "active" {
				return ""
			}
			return "the account is " + oneLine(in.Status) + ", and cannot call"
		})
	}
	switch t := c.Tickets; {
	case t == nil:
	case t.Jira != nil:
		d.asked(ctx, at, "tickets", "the user of Jira", strings.TrimSuffix(t.Jira.URL, "/")+"/rest/api/2/myself", func(r *http.Request) {
			if t.Jira.DataCenter {
				r.Header.Set("Authorization", "Bearer "+t.Jira.Token.Reveal())
				return
			}
			r.SetBasicAuth(t.Jira.Email, t.Jira.Token.Reveal())
		}, nil)
	case t.ServiceNow != nil:
		d.asked(ctx, at, "tickets", "the user of ServiceNow", strings.TrimSuffix(t.ServiceNow.URL, "/")+"/api/now/table/incident?sysparm_limit=1&sysparm_fields=sys_id", func(r *http.Request) {
			r.SetBasicAuth(t.ServiceNow.Username, t.ServiceNow.Password.Reveal())
		}, nil)
	}
}

// scopeOfSlack is the scope with which opsd posts.
const scopeOfSlack = "chat:write"

// slack asks Slack whose token it is, and which scopes it has, which Slack says in a header
// of each answer (https://docs.slack.dev/reference/methods/auth.test).
func (d *diagnosis) slack(ctx context.Context, s *slackSettings, at services) {
	const about = "slack"
	status, header, body, err := at.ask(ctx, http.MethodPost, at.slack+"/auth.test", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.Token.Reveal()) })
	if err != nil {
		d.note(about, "could not be asked: %v", err)
		return
	}
	var in struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
		Team  string `json:"team"`
		User  string `json:"user"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.OK == nil {
		d.note(about, "could not be asked: it answered with status %d, and not as Slack does", status)
		return
	}
	if !*in.OK {
		if status >= 500 || in.Error == "ratelimited" || in.Error == "internal_error" || in.Error == "fatal_error" {
			d.note(about, "could not be asked: %s", oneLine(in.Error))
			return
		}
		d.problem(about, "the token is refused: %s", oneLine(in.Error))
		return
	}
	list, told := header["X-Oauth-Scopes"]
	if !told {
		d.note(about, "the token is that of %s in %s; Slack does not say which scopes it has", oneLine(in.User), oneLine(in.Team))
		return
	}
	has := strings.FieldsFunc(strings.Join(list, ","), func(r rune) bool { return r == ',' || r == ' ' })
	posts := slices.Contains(has, scopeOfSlack)
	more := slices.DeleteFunc(has, func(s string) bool { return s == scopeOfSlack || s == "chat:write.public" })
	if !posts {
		d.problem(about, "the token of %s lacks the scope %s: add it to the app (OAuth & Permissions) and install it again", oneLine(in.User), scopeOfSlack)
	} else {
		d.ok(about, "the token is that of %s in %s, and may post", oneLine(in.User), oneLine(in.Team))
	}
	if len(more) > 0 {
		d.note(about, "the token has more scopes than opsd needs: %s", oneLine(strings.Join(more, ", ")))
	}
}

// mail greets the server, and sends nothing.
func (d *diagnosis) mail(ctx context.Context, m *mailSettings, at services) {
	const about = "mail"
	port := m.Port
	if port == 0 {
		port = 587
	}
	address := net.JoinHostPort(m.Host, strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := at.dial(ctx, "tcp", address)
	if err != nil {
		d.problem(about, "%s cannot be reached: %v", address, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(askWithin)) // a connection that cannot is as good
	greeting, err := bufio.NewReader(io.LimitReader(conn, 1<<10)).ReadString('\n')
	switch {
	case err != nil:
		d.problem(about, "%s does not greet as a mail server does: %v", address, err)
	case !strings.HasPrefix(greeting, "220"):
		d.problem(about, "%s refuses: %s", address, oneLine(strings.TrimSpace(greeting)))
	default:
		d.ok(about, "%s greets; whether it takes our mail is only seen by opsd notify test", address)
	}
}

// asked asks a service by one read who opsd is to it. well says of an answer what is wrong
// nevertheless.
func (d *diagnosis) asked(ctx context.Context, at services, about, what, address string, who func(*http.Request), well func([]byte) string) {
	status, _, body, err := at.ask(ctx, http.MethodGet, address, who)
	switch {
	case err != nil:
		d.note(about, "%s could not be asked: %v", what, err)
	case status == http.StatusUnauthorized:
		d.problem(about, "%s is not accepted (status 401): its password or token is wrong, or has ended", what)
	case status == http.StatusForbidden:
		d.problem(about, "%s is known, and may not even read (status 403): it lacks a permission or a scope", what)
	case status == http.StatusNotFound:
		d.problem(about, "%s: there is nothing at its address (status 404): the address is wrong", what)
	case status < 200 || status > 299:
		d.note(about, "%s could not be asked: status %d", what, status)
	case well != nil && well(body) != "":
		d.problem(about, "%s: %s", what, well(body))
	default:
		d.ok(about, "%s is accepted; nothing was sent", what)
	}
}

// ask makes one request, which has no body. Its error has no address, which may hold a secret.
func (at services) ask(ctx context.Context, method, address string, who func(*http.Request)) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return 0, nil, nil, errors.New("the address is none")
	}
	r.Header.Set("User-Agent", "opsd (go.acu.edu.au/runbook)")
	r.Header.Set("Accept", "application/json")
	who(r)
	resp, err := at.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return 0, nil, nil, fmt.Errorf("%s does not answer: %w", r.URL.Host, err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return 0, nil, nil, fmt.Errorf("the answer of %s was lost: %w", r.URL.Host, err)
	}
	return resp.StatusCode, resp.Header, body, nil
}
