package twilio

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/alert/internal/sms"
)

// Config says who is told, and how. See [New].
type Config struct {
	// AccountSID names the account, "AC" and 32 digits. Required.
	AccountSID runbook.Secret
	// AuthToken is that of the account, or the secret of KeySID. Required.
	AuthToken runbook.Secret
	// KeySID is the SID of an API key, "SK" and 32 digits, which can be revoked by itself.
	// Empty means that AuthToken is that of the account.
	KeySID runbook.Secret
	// From is the number that sends, in the form +61400111333. Either it or
	// MessagingService is required; a call needs From.
	From string
	// MessagingService is the SID of a messaging service, "MG" and 32 digits, that chooses
	// the number.
	MessagingService string
	// To is the number that is told, in the form +61400111222. A placeholder is an error.
	// Required.
	To string

	// Voice makes it call. To must be a phone that takes both calls and texts.
	Voice bool
	// Language is that of the voice. Empty means "en-AU".
	Language string
	// Segments is how many parts a text message may have at most, up to 10. Zero means 2.
	Segments int
	// Unicode keeps characters that GSM-7 does not have, though a part then holds 67
	// instead of 153.
	Unicode bool
	// Zone is the zone of times in messages. Nil means UTC.
	Zone *time.Location

	// BaseURL is that of the API. Empty means https://api.twilio.com; accounts in another
	// region have an address of their own.
	BaseURL string
	// HTTP gives the transport, and a Timeout. Nil means one of the module's own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one attempt. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// The limits of Twilio: https://www.twilio.com/docs/voice/api/call-resource#create-a-call-resource
// and https://www.twilio.com/docs/api/errors/21617.
const (
	maxTwiml = 4000 // characters
	maxSay   = 600  // characters that are said, twice; our own
)

// Notifier writes to one phone, or calls it. Make one with [New]. It is safe for concurrent
// use.
type Notifier struct {
	cfg             Config
	style           sms.Style
	client          *send.Client
	auth            func() http.Header // in a closure, for whoever prints the Notifier
	messages, calls *url.URL
}

var _ alert.Notifier = (*Notifier)(nil)

var (
	accountForm = regexp.MustCompile(`^AC[0-9a-fA-F]{32}$`)
	keyForm     = regexp.MustCompile(`^SK[0-9a-fA-F]{32}$`)
	serviceForm = regexp.MustCompile(`^MG[0-9a-fA-F]{32}$`)
)

// New returns a Notifier, or all problems of cfg. It asks Twilio nothing.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("twilio: "+format, args...))
		}
	}
	if cfg.Language == "" {
		cfg.Language = "en-AU"
	}
	if cfg.Segments == 0 {
		cfg.Segments = 2
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://api.twilio.com"
	}
	bad(!accountForm.MatchString(cfg.AccountSID.Reveal()), "AccountSID must be AC and 32 hexadecimal digits")
	bad(cfg.AuthToken.IsZero(), "AuthToken is missing")
	bad(!cfg.KeySID.IsZero() && !keyForm.MatchString(cfg.KeySID.Reveal()), "KeySID must be SK and 32 hexadecimal digits")
	bad(cfg.MessagingService != "" && !serviceForm.MatchString(cfg.MessagingService), "MessagingService must be MG and 32 hexadecimal digits")
	bad(cfg.From == "" && (cfg.MessagingService == "" || cfg.Voice), "From is missing")
	if cfg.From != "" {
		err := sms.CheckNumber(cfg.From)
		bad(err != nil, "From %w", err)
	}
	err := sms.CheckNumber(cfg.To)
	bad(err != nil, "To %w", err)
	bad(err == nil && cfg.From == cfg.To, "From and To are the same number")
	bad(cfg.Segments < 1 || cfg.Segments > 10, "Segments must be from 1 to 10")
	bad(!languageForm.MatchString(cfg.Language), "Language must be one such as en-AU")
	bad(cfg.Timeout < 0, "Timeout is negative")
	base, ok := send.Base(cfg.BaseURL)
	bad(!ok, "BaseURL must be an address with https")
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return newNotifier(cfg, base), nil
}

var languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Za-z0-9]{2,4})?$`)

func newNotifier(cfg Config, base *url.URL) *Notifier {
	user := cfg.AccountSID
	if !cfg.KeySID.IsZero() {
		user = cfg.KeySID
	}
	account := base.JoinPath("2010-04-01", "Accounts", cfg.AccountSID.Reveal())
	return &Notifier{
		cfg: cfg, style: sms.Style{Segments: cfg.Segments, Unicode: cfg.Unicode, Zone: cfg.Zone},
		client: send.New("twilio", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
		auth: func() http.Header {
			credentials := base64.StdEncoding.EncodeToString([]byte(user.Reveal() + ":" + cfg.AuthToken.Reveal()))
			return http.Header{"Authorization": {"Basic " + credentials}}
		},
		messages: account.JoinPath("Messages.json"), calls: account.JoinPath("Calls.json"),
	}
}

// Notify implements [alert.Notifier]. The receipt is the SID of the message or the call.
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	if n.cfg.Voice && rings(what) {
		twiml, err := n.twiml(what)
		if err != nil {
			return "", n.client.Refuse("call", "the message cannot be encoded")
		}
		return n.create(ctx, "call", n.calls, url.Values{"To": {n.cfg.To}, "From": {n.cfg.From}, "Twiml": {twiml}})
	}
	form := url.Values{"To": {n.cfg.To}, "Body": {n.style.Text(what)}}
	if n.cfg.MessagingService != "" {
		form.Set("MessagingServiceSid", n.cfg.MessagingService)
	} else {
		form.Set("From", n.cfg.From)
	}
	return n.create(ctx, "send message", n.messages, form)
}

// rings reports whether somebody must get up for it.
func rings(what alert.Notification) bool {
	switch what.Kind {
	case alert.KindFiring, alert.KindReminder, alert.KindTest:
		return true
	case alert.KindUpdate, alert.KindDigest:
		_, all := what.TakenBy()
		return !all && len(what.Alerts) > 0 && what.Alerts[0].State != alert.Resolved // what fires comes first
	}
	return false
}

// answer is the part that matters of a message, a call and an error:
// https://www.twilio.com/docs/usage/twilios-response#response-formats-exceptions.
type answer struct {
	SID       string `json:"sid"`
	Status    any    `json:"status"`     // a word, or of an error a number
	ErrorCode *int   `json:"error_code"` // of a message
	Code      int    `json:"code"`       // of an error
}

// limits are the codes that say that nothing was taken because there is too much:
// https://www.twilio.com/docs/api/errors, where the rest is found too.
var limits = []int{
	20429, // too many requests
	21611, // the queue of the number is full
	10004, // too many calls at once
}

func (n *Notifier) create(ctx context.Context, op string, address *url.URL, form url.Values) (alert.Receipt, error) {
	resp, err := n.client.Do(ctx, send.Call{Op: op, URL: address, Header: n.auth(), Form: form})
	var a answer
	if err != nil {
		if resp != nil && json.Unmarshal(resp.Body, &a) == nil && a.Code != 0 {
			return "", explain(err, a.Code)
		}
		return "", err
	}
	if err := n.client.Decode(op, resp, &a); err != nil {
		return "", err
	}
	// A message that has failed already is answered like one that was sent.
	if s, _ := a.Status.(string); s == "failed" || s == "undelivered" || s == "canceled" {
		e := &alert.Error{Service: "twilio", Op: op, Status: resp.Status, Kind: alert.ErrRefused, Code: s}
		if a.ErrorCode != nil {
			e.Code += " " + strconv.Itoa(*a.ErrorCode)
		}
		return "", e
	}
	if !sidForm.MatchString(a.SID) {
		return "", &alert.Error{Service: "twilio", Op: op, Status: resp.Status, Err: errors.New("the answer has no SID")}
	}
	return alert.Receipt(a.SID), nil
}

var sidForm = regexp.MustCompile(`^(SM|MM|CA)[0-9a-fA-F]{32}$`)

// explain adds Twilio's code; its message repeats numbers and is left out.
func explain(err error, code int) error {
	e, ok := errors.AsType[*alert.Error](err)
	if !ok {
		return err
	}
	e.Code = strconv.Itoa(code)
	if e.Status/100 == 4 && slices.Contains(limits, code) {
		e.Kind = alert.ErrLimited
	}
	return err
}

// response is TwiML: https://www.twilio.com/docs/voice/twiml/say.
type response struct {
	XMLName xml.Name `xml:"Response"`
	Verbs   []any
}

type say struct {
	XMLName  xml.Name `xml:"Say"`
	Language string   `xml:"language,attr"`
	Text     string   `xml:",chardata"`
}

type pause struct {
	XMLName xml.Name `xml:"Pause"`
	Length  int      `xml:"length,attr"`
}

// twiml is what is said: twice, since who picks up at night misses the beginning.
func (n *Notifier) twiml(what alert.Notification) (string, error) {
	spoken := func(most int) say { return say{Language: n.cfg.Language, Text: n.spoken(what, most)} }
	for most := maxSay; ; most /= 2 {
		text := spoken(most)
		out, err := xml.Marshal(response{Verbs: []any{pause{Length: 1}, text, pause{Length: 2}, text}})
		if err != nil || len(out) <= maxTwiml || most < 50 {
			return string(out), err
		}
	}
}

// spoken is the text message as one says it.
func (n *Notifier) spoken(what alert.Notification, most int) string {
	repeat := ""
	if what.PossibleRepeat {
		repeat, what.PossibleRepeat = "This may be a repetition of an earlier call. ", false
	}
	style := n.style
	style.Segments, style.Unicode, style.Brief = 10, true, true
	var b strings.Builder
	b.WriteString(repeat + "Alert. ")
	for line := range strings.SplitSeq(style.Text(what), "\n") {
		b.WriteString(strings.TrimRight(line, ".") + ". ")
	}
	return send.Cut(strings.TrimSpace(b.String()), most)
}
