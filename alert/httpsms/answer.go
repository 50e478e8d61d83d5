package httpsms

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Answer says what the answers of a gateway mean. Expressions are those of package regexp.
type Answer struct {
	// Path is where an answer in JSON says what became of the message: the names of fields
	// and the numbers of elements, joined by points, such as "data.messages.0.status".
	// Empty means the whole text of the answer.
	Path string
	// OK is an expression for what means that the message was taken. Empty means any answer
	// with a status of 2xx.
	OK string
	// Limited is an expression for what means that there are too many messages, and that
	// this one was not taken. Empty means none; status 429 always means it.
	Limited string
	// Refused is an expression for what means that it is refused for good. Empty means, if
	// there is a Path, all that is neither OK nor Limited; and none without one. An answer
	// that none of the three explains leaves open whether the message was sent.
	Refused string
	// ID is the path of the ID of the message, for receipts. Without Path it is the first
	// group of OK. Optional.
	ID string
}

// judge reads answers.
type judge struct {
	path, id             []string
	ok, limited, refused *regexp.Regexp
}

func newJudge(a Answer) (judge, error) {
	var problems []error
	compile := func(name, expression string) *regexp.Regexp {
		if expression == "" {
			return nil
		}
		re, err := regexp.Compile(expression)
		if err != nil {
			problems = append(problems, fmt.Errorf("httpsms: Answer.%s is no regular expression", name))
		}
		return re
	}
	j := judge{path: split(a.Path), id: split(a.ID), ok: compile("OK", a.OK), limited: compile("Limited", a.Limited), refused: compile("Refused", a.Refused)}
	if a.OK == "" && (a.Path != "" || a.Limited != "" || a.Refused != "") {
		problems = append(problems, errors.New("httpsms: Answer has rules, and OK is missing"))
	}
	if a.ID != "" && a.Path == "" {
		problems = append(problems, errors.New("httpsms: Answer.ID needs Answer.Path"))
	}
	return j, errors.Join(problems...)
}

func split(path string) []string {
	if path == "" {
		return nil
	}
	return strings.Split(path, ".")
}

// lookup returns a value of a document as text. Objects, lists and null are none.
func lookup(doc any, path []string) (string, bool) {
	for _, name := range path {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return "", false
			}
			doc = v[i]
		default:
			return "", false
		}
	}
	switch v := doc.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// word returns what an answer says of the message, and the ID of the message.
func (j judge) word(body []byte) (word, id string, ok bool) {
	if j.path == nil {
		word = strings.TrimSpace(strings.ToValidUTF8(string(body), "?"))
		if j.ok != nil {
			if groups := j.ok.FindStringSubmatch(word); len(groups) > 1 {
				id = groups[1]
			}
		}
		return word, id, true
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // IDs may be long numbers
	var doc any
	if decoder.Decode(&doc) != nil {
		return "", "", false
	}
	word, ok = lookup(doc, j.path)
	if j.id != nil {
		id, _ = lookup(doc, j.id)
	}
	return word, id, ok
}

// judge reads the answer to a message; err is what its status means.
func (n *Notifier) judge(status int, body []byte, err error) (alert.Receipt, error) {
	j := n.answer
	word, id, said := j.word(body)
	if err != nil {
		if e, ok := errors.AsType[*alert.Error](err); ok && said && j.path != nil {
			e.Code = n.scrub(word)
			if status/100 == 4 && j.limited != nil && j.limited.MatchString(word) {
				e.Kind = alert.ErrLimited
			}
		}
		return "", err
	}
	receipt := alert.Receipt(n.scrub(id))
	e := &alert.Error{Service: n.cfg.Service, Op: op, Status: status, Code: n.scrub(word)}
	switch {
	case j.ok == nil:
		return receipt, nil
	case !said:
		e.Err = errors.New("the answer does not say what became of the message")
	case j.ok.MatchString(word):
		return receipt, nil
	case j.limited != nil && j.limited.MatchString(word):
		e.Kind = alert.ErrLimited
	case j.refused != nil && j.refused.MatchString(word), j.refused == nil && j.path != nil:
		e.Kind = alert.ErrRefused
	default:
		e.Err = errors.New("the answer is not one that is known")
	}
	return "", e
}

// scrub makes what a gateway says one short line without secrets and numbers.
func (n *Notifier) scrub(text string) string {
	text = send.Line(text)
	hide := []string{n.cfg.To, n.cfg.To[1:], n.cfg.Password.Reveal()}
	for _, secret := range n.cfg.Secrets {
		hide = append(hide, secret.Reveal())
	}
	for _, s := range hide {
		if s != "" {
			text = strings.ReplaceAll(text, s, "…")
		}
	}
	return send.Cut(text, 80)
}
