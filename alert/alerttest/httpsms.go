package alerttest

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// SMSGateway is a gateway for text messages, of the two kinds that Australian providers
// have. It takes JSON at POST /v3/sms/send, as ClickSend's API version 3 does
// (https://developers.clicksend.com/docs/messaging/sms), and forms, by GET or POST, at
// /http-api.php with answers in plain text, as SMSGlobal's HTTP API does
// (https://www.smsglobal.com/http-api/). Fill Username and Password before use. It must not
// be copied after first use.
type SMSGateway struct {
	// Username and Password are the credentials.
	Username, Password string
	// Busy makes it answer that there are too many messages, in its own words and with
	// status 200.
	Busy bool

	faults
	data sync.Mutex
	told []SMSMessage
}

// An SMSMessage is a message that [SMSGateway] took.
type SMSMessage struct {
	// ID is its name at the gateway.
	ID string
	// From, To and Body are as they were sent.
	From, To, Body string
}

// Client returns a client that reaches it, whatever the address.
func (g *SMSGateway) Client() *http.Client { return g.client(g) }

// Told returns the messages that it took, in order.
func (g *SMSGateway) Told() []SMSMessage {
	g.data.Lock()
	defer g.data.Unlock()
	return slices.Clone(g.told)
}

// ServeHTTP implements [http.Handler].
func (g *SMSGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, g.handle, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/http-api.php" {
			fmt.Fprint(w, "ERROR: 88") //nolint:errcheck // whoever went away gets nothing
			return
		}
		g.answer(w, http.StatusOK, "SUCCESS", []map[string]any{{"status": "INSUFFICIENT_CREDIT"}})
	})
}

func (g *SMSGateway) handle(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v3/sms/send" && r.Method == http.MethodPost:
		g.send(w, r)
	case r.URL.Path == "/http-api.php":
		g.form(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (g *SMSGateway) known(user, password string) bool {
	return user != "" && user == g.Username && subtle.ConstantTimeCompare([]byte(password), []byte(g.Password)) == 1
}

// answer is that of ClickSend's published example.
func (g *SMSGateway) answer(w http.ResponseWriter, status int, code string, messages []map[string]any) {
	respond(w, status, map[string]any{
		"http_code": status, "response_code": code, "response_msg": "Here is what became of it.",
		"data": map[string]any{"total_count": len(messages), "messages": messages},
	})
}

var smsRecipient = regexp.MustCompile(`^\+?[1-9][0-9]{7,14}$`)

func (g *SMSGateway) send(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); !g.known(user, password) {
		g.answer(w, http.StatusUnauthorized, "UNAUTHORIZED", nil)
		return
	}
	var in struct {
		Messages []struct {
			Body         string `json:"body"`
			To           string `json:"to"`
			From         string `json:"from"`
			Source       string `json:"source"`
			CustomString string `json:"custom_string"`
		} `json:"messages"`
	}
	data, ok := body(r, 1<<20)
	if !ok || strict(data, &in) != nil || len(in.Messages) == 0 || len(in.Messages) > 1000 {
		g.answer(w, http.StatusBadRequest, "BAD_REQUEST", nil)
		return
	}
	if g.Busy {
		g.answer(w, http.StatusOK, "SUCCESS", []map[string]any{{"status": "THROTTLED"}})
		return
	}
	var list []map[string]any
	for _, m := range in.Messages {
		status, id := "SUCCESS", ""
		switch {
		case !smsRecipient.MatchString(m.To):
			status = "INVALID_RECIPIENT"
		case m.Body == "" || len([]rune(m.Body)) > 1224:
			status = "INVALID_BODY"
		default:
			id = g.take(m.From, m.To, m.Body)
		}
		list = append(list, map[string]any{"status": status, "to": m.To, "from": m.From, "body": m.Body, "message_id": id, "message_parts": 1})
	}
	g.answer(w, http.StatusOK, "SUCCESS", list)
}

func (g *SMSGateway) take(from, to, text string) string {
	g.data.Lock()
	defer g.data.Unlock()
	id := fmt.Sprintf("BF7AD270-0DE2-418B-B606-%012d", len(g.told)+1)
	g.told = append(g.told, SMSMessage{ID: id, From: from, To: to, Body: text})
	return id
}

// form is the API by which one asks with a form and is answered by a line of text.
func (g *SMSGateway) form(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	line := func(text string) { fmt.Fprintln(w, text) } //nolint:errcheck // whoever went away gets nothing
	form := r.URL.Query()
	if r.Method == http.MethodPost {
		data, _ := body(r, 64<<10)
		form, _ = url.ParseQuery(string(data))
	}
	for name, values := range form {
		if !slices.Contains([]string{"action", "user", "password", "from", "to", "text", "maxsplit"}, name) || len(values) != 1 {
			line("ERROR: unknown parameter " + name)
			return
		}
	}
	from, to := form.Get("from"), form.Get("to")
	switch {
	case form.Get("action") != "sendsms":
		line("ERROR: No action requested")
	case !g.known(form.Get("user"), form.Get("password")):
		line("ERROR: 401")
	case strings.HasPrefix(to, "+") || !smsRecipient.MatchString(to):
		line("ERROR: 13 - Invalid Mobile Number")
	case strings.HasPrefix(from, "+") || form.Get("text") == "":
		line("ERROR: 102")
	case g.Busy:
		line("ERROR: 8 - too many messages")
	default:
		line("OK: 0; Sent queued message ID: 04b4a8d4a5a02176 SMSGlobalMsgID:" + g.take(from, to, form.Get("text")))
	}
}
