package slack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/inbound"
)

// Acknowledge is the [Action].Name of the button "Acknowledge".
const Acknowledge = "acknowledge"

// An Action is what somebody did in Slack about an alert.
type Action struct {
	// Name is what was done: [Acknowledge].
	Name string
	// Alert is the key of the alert.
	Alert string
	// UserID and UserName say who did it, TeamID in which workspace. The name can be
	// changed by its owner; what must be sure is decided by the ID.
	UserID, UserName, TeamID string
	// ChannelID and ChannelName say where.
	ChannelID, ChannelName string
	// At is when.
	At time.Time
}

// ActionsConfig says who sends actions and who takes them. See [NewActionsHandler].
type ActionsConfig struct {
	// SigningSecret is that of the app, by which its requests are signed. Required.
	SigningSecret runbook.Secret
	// OnAction is called for each alert of a button that was pressed, before the answer:
	// Slack waits for 3 seconds. Whether the person may do it is for OnAction to decide.
	// If it fails, Slack shows the person that it did not work; only that there is no
	// such alert any more, [alert.ErrNoAlert], counts as done. Required.
	OnAction func(ctx context.Context, a Action) error
}

// maxAction is the largest request. It has the whole message in it.
const maxAction = 1 << 20

// NewActionsHandler returns the receiver of an app's interactive buttons: the Request URL of
// Interactivity.
//
// A request is taken if its signature is right, its time stamp is at most 5 minutes away,
// and it did not come before
// (https://docs.slack.dev/authentication/verifying-requests-from-slack). It answers 200, also
// for buttons that are not of this package; 401 for a request that is not Slack's; 400 for one
// that it does not understand; 413 for more than 1 MiB; and 500 if OnAction failed. What came
// before is kept in memory: replicas do not know each other's requests, and what OnAction does
// must be harmless when done again, as an acknowledgement is.
//
// The handler is safe for concurrent use.
func NewActionsHandler(cfg ActionsConfig) (http.Handler, error) {
	var problems []error
	if cfg.SigningSecret.IsZero() {
		problems = append(problems, errors.New("slack: actions: the signing secret is missing"))
	}
	if cfg.OnAction == nil {
		problems = append(problems, errors.New("slack: actions: OnAction is missing"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &actionsHandler{cfg: cfg}, nil
}

type actionsHandler struct {
	cfg  ActionsConfig
	seen inbound.Memory
}

// ServeHTTP implements [http.Handler].
func (h *actionsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := inbound.Body(w, r, maxAction)
	if !ok {
		return
	}
	now := time.Now()
	signature, at, ok := h.verify(r.Header, body, now)
	if !ok {
		http.Error(w, "the request is not signed by Slack", http.StatusUnauthorized)
		return
	}
	switch h.seen.Begin(signature, now) {
	case inbound.New:
	case inbound.Full:
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	default:
		http.Error(w, "the request came before", http.StatusUnauthorized)
		return
	}
	actions, err := parseActions(body, at)
	if err != nil {
		http.Error(w, "the request is not understood", http.StatusBadRequest)
		return
	}
	failed := false
	for _, a := range actions {
		if err := h.cfg.OnAction(r.Context(), a); err != nil && !errors.Is(err, alert.ErrNoAlert) {
			failed = true
		}
	}
	if failed {
		http.Error(w, "it could not be done", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// verify checks the signature, which is the HMAC-SHA256 of version, time stamp and body.
func (h *actionsHandler) verify(header http.Header, body []byte, now time.Time) (signature string, at time.Time, ok bool) {
	stamp, ok1 := inbound.One(header, "X-Slack-Request-Timestamp")
	signature, ok2 := inbound.One(header, "X-Slack-Signature")
	at, ok3 := inbound.Fresh(stamp, now)
	given, isHex := strings.CutPrefix(signature, "v0=")
	sum, err := hex.DecodeString(given)
	if !ok1 || !ok2 || !ok3 || !isHex || err != nil {
		return "", time.Time{}, false
	}
	mac := hmac.New(sha256.New, []byte(h.cfg.SigningSecret.Reveal()))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	return hex.EncodeToString(sum), at, hmac.Equal(sum, mac.Sum(nil))
}

// interaction is what is read of a payload of the type block_actions
// (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload).
type interaction struct {
	Type string `json:"type"`
	Team struct {
		ID string `json:"id"`
	} `json:"team"`
	User struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"user"`
	Channel struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"channel"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
	} `json:"actions"`
}

// maxKeys is how many alerts a button has at most: as many as a notification.
const maxKeys = 30

// parseActions reads the body of a request: a form with a payload of JSON.
func parseActions(body []byte, at time.Time) (actions []Action, err error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["payload"]) != 1 {
		return nil, errors.New("not a form with a payload")
	}
	var p interaction
	if err := json.Unmarshal([]byte(form.Get("payload")), &p); err != nil {
		return nil, err
	}
	if p.Type != "block_actions" {
		return nil, nil
	}
	name := p.User.Name
	for _, other := range []string{p.User.Username, p.User.ID} {
		if name == "" {
			name = other
		}
	}
	for _, a := range p.Actions {
		if a.ActionID != acknowledgeID {
			continue
		}
		var keys []string
		if err := json.Unmarshal([]byte(a.Value), &keys); err != nil || len(keys) == 0 || len(keys) > maxKeys || p.User.ID == "" {
			return nil, errors.New("not a button of ours")
		}
		for _, key := range keys {
			if key == "" || len(key) > 64 {
				return nil, errors.New("not the key of an alert")
			}
			actions = append(actions, Action{
				Name: Acknowledge, Alert: key, UserID: p.User.ID, UserName: name, TeamID: p.Team.ID,
				ChannelID: p.Channel.ID, ChannelName: p.Channel.Name, At: at,
			})
		}
	}
	return actions, nil
}
