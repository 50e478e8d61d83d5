package alerttest

import (
	"crypto/subtle"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Twilio is the part of Twilio's API that sends text messages and calls, as
// https://www.twilio.com/docs/messaging/api/message-resource and
// https://www.twilio.com/docs/voice/api/call-resource describe it. Fill AccountSID and
// AuthToken before use. It must not be copied after first use.
type Twilio struct {
	// AccountSID and AuthToken are those of the account; KeySID and KeySecret those of an
	// API key, if it has one.
	AccountSID, AuthToken, KeySID, KeySecret string
	// Numbers are those that may send. None means any.
	Numbers []string
	// Blocked are numbers that have unsubscribed: they are refused with error 21610.
	Blocked []string
	// Queue is how many text messages wait for each number before more are limited. Zero
	// means any number.
	Queue int

	faults
	data sync.Mutex
	told []TwilioMessage
}

// A TwilioMessage is a text message or a call that [Twilio] took.
type TwilioMessage struct {
	// SID is its name: "SM…", or "CA…" for a call.
	SID string
	// From is the number, or the messaging service, that sends; To is the one that is told.
	From, To string
	// Body is the text of a message.
	Body string
	// Say is what a call says, in order, and Language that of its voice. Nil for a message.
	Say      []string
	Language string
}

// Client returns a client that reaches it, whatever the address.
func (t *Twilio) Client() *http.Client { return t.client(t) }

// Told returns the messages and calls that it took, in order.
func (t *Twilio) Told() []TwilioMessage {
	t.data.Lock()
	defer t.data.Unlock()
	return slices.Clone(t.told)
}

// ServeHTTP implements [http.Handler].
func (t *Twilio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.serve(w, r, t.handle, func(w http.ResponseWriter, _ *http.Request) {
		t.fail(w, http.StatusBadRequest, 21408, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number.")
	})
}

// fail answers as https://www.twilio.com/docs/usage/twilios-response shows errors.
func (t *Twilio) fail(w http.ResponseWriter, status, code int, text string) {
	respond(w, status, map[string]any{"code": code, "message": text, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status})
}

// The parameters that are documented and that a sender of plain messages may use.
var (
	messageFields = []string{"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "MaxPrice", "ProvideFeedback", "Attempt", "ValidityPeriod", "SmartEncoded"}
	callFields    = []string{"To", "From", "Twiml", "StatusCallback", "StatusCallbackEvent", "StatusCallbackMethod", "Timeout", "MachineDetection"}
)

func (t *Twilio) handle(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	same := func(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	if !(same(t.AccountSID, user) && same(t.AuthToken, password)) && !(same(t.KeySID, user) && same(t.KeySecret, password)) {
		w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
		t.fail(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	what, ok := strings.CutPrefix(r.URL.Path, "/2010-04-01/Accounts/"+t.AccountSID+"/")
	if !ok || r.Method != http.MethodPost || r.URL.RawQuery != "" || what != "Messages.json" && what != "Calls.json" {
		t.fail(w, http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
		return
	}
	data, ok := body(r, 64<<10)
	form, err := url.ParseQuery(string(data))
	if !ok || err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.fail(w, http.StatusBadRequest, 20001, "Invalid form")
		return
	}
	if what == "Calls.json" {
		t.call(w, form)
		return
	}
	t.message(w, form)
}

var twilioNumber = regexp.MustCompile(`^\+[1-9][0-9]{7,14}$`)

// common checks what messages and calls have in common, and reports whether it is in order.
func (t *Twilio) common(w http.ResponseWriter, form url.Values, known []string) bool {
	for name, values := range form {
		if !slices.Contains(known, name) || len(values) != 1 {
			t.fail(w, http.StatusBadRequest, 20001, "Unknown or repeated parameter "+name)
			return false
		}
	}
	from, to := form.Get("From"), form.Get("To")
	switch {
	case to == "":
		t.fail(w, http.StatusBadRequest, 21604, "A 'To' phone number is required.")
	case !twilioNumber.MatchString(to) || to == from:
		t.fail(w, http.StatusBadRequest, 21211, "The 'To' number "+to+" is not a valid phone number.")
	case from != "" && (!twilioNumber.MatchString(from) || len(t.Numbers) > 0 && !slices.Contains(t.Numbers, from)):
		t.fail(w, http.StatusBadRequest, 21606, "The From phone number "+from+" is not a valid, SMS-capable inbound phone number or short code for your account.")
	default:
		return true
	}
	return false
}

func (t *Twilio) message(w http.ResponseWriter, form url.Values) {
	if !t.common(w, form, messageFields) {
		return
	}
	from, to, text := form.Get("From"), form.Get("To"), form.Get("Body")
	service := form.Get("MessagingServiceSid")
	t.data.Lock()
	defer t.data.Unlock()
	switch {
	case from == "" && service == "":
		t.fail(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
	case text == "":
		t.fail(w, http.StatusBadRequest, 21602, "Message body is required.")
	case utf8.RuneCountInString(text) > 1600:
		t.fail(w, http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit.")
	case slices.Contains(t.Blocked, to):
		t.fail(w, http.StatusBadRequest, 21610, "Attempt to send to unsubscribed recipient")
	case t.Queue > 0 && len(t.told) >= t.Queue:
		t.fail(w, http.StatusTooManyRequests, 21611, "This 'From' number has exceeded the maximum number of queued messages")
	default:
		sid := fmt.Sprintf("SM%032x", len(t.told)+1)
		t.told = append(t.told, TwilioMessage{SID: sid, From: from + service, To: to, Body: text})
		respond(w, http.StatusCreated, t.answer("Messages", sid, from, to, map[string]any{
			"body": text, "messaging_service_sid": null(service), "num_segments": "0", "num_media": "0", "error_code": nil, "error_message": nil, "date_sent": nil,
		}))
	}
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// twiml is what a call may say: https://www.twilio.com/docs/voice/twiml/say.
type twiml struct {
	XMLName xml.Name `xml:"Response"`
	Verbs   []struct {
		XMLName  xml.Name
		Language string `xml:"language,attr"`
		Length   int    `xml:"length,attr"`
		Text     string `xml:",chardata"`
	} `xml:",any"`
}

func (t *Twilio) call(w http.ResponseWriter, form url.Values) {
	if !t.common(w, form, callFields) {
		return
	}
	from, to, script := form.Get("From"), form.Get("To"), form.Get("Twiml")
	if from == "" {
		t.fail(w, http.StatusBadRequest, 21213, "'From' phone number not provided")
		return
	}
	var doc twiml
	if len(script) > 4000 || xml.Unmarshal([]byte(script), &doc) != nil {
		t.fail(w, http.StatusBadRequest, 21205, "Twiml is not valid")
		return
	}
	m := TwilioMessage{From: from, To: to, Say: []string{}}
	for _, verb := range doc.Verbs {
		switch verb.XMLName.Local {
		case "Say":
			m.Say, m.Language = append(m.Say, verb.Text), verb.Language
		case "Pause", "Hangup":
		default:
			t.fail(w, http.StatusBadRequest, 21205, "Twiml has an unknown verb")
			return
		}
	}
	t.data.Lock()
	defer t.data.Unlock()
	m.SID = fmt.Sprintf("CA%032x", len(t.told)+1)
	t.told = append(t.told, m)
	respond(w, http.StatusCreated, t.answer("Calls", m.SID, from, to, map[string]any{
		"start_time": nil, "end_time": nil, "duration": nil, "answered_by": nil, "parent_call_sid": nil, "queue_time": "0",
	}))
}

// answer is what messages and calls have in common in their published examples.
func (t *Twilio) answer(kind, sid, from, to string, more map[string]any) map[string]any {
	now := time.Now().UTC().Format(time.RFC1123Z)
	answer := map[string]any{
		"account_sid": t.AccountSID, "api_version": "2010-04-01", "date_created": now, "date_updated": now, "direction": "outbound-api",
		"from": null(from), "to": to, "price": nil, "price_unit": "USD", "sid": sid, "status": "queued",
		"uri": "/2010-04-01/Accounts/" + t.AccountSID + "/" + kind + "/" + sid + ".json",
	}
	for name, value := range more {
		answer[name] = value
	}
	return answer
}
