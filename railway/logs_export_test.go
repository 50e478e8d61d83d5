package railway

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// ErrCannotSubscribe is errCannotSubscribe.
var ErrCannotSubscribe = errCannotSubscribe

// Subscribe subscribes to the status of a deployment.
func Subscribe(ctx context.Context, c *Client, deployment string) iter.Seq2[string, error] {
	type data struct {
		Deployment *gql.DeploymentFields `json:"deployment"`
	}
	return func(yield func(string, error) bool) {
		for d, err := range subscribe[data](ctx, c, c.op("follow deployment %s", deployment), "FollowDeployment", map[string]any{"id": deployment}) {
			status := ""
			if d.Deployment != nil {
				status = string(d.Deployment.Status)
			}
			if !yield(status, err) {
				return
			}
		}
	}
}

// SubscribeAgain is Subscribe that goes on after a break; "open" tells that it is
// open.
func SubscribeAgain(ctx context.Context, c *Client, deployment string) iter.Seq2[string, error] {
	type data struct {
		Deployment *gql.DeploymentFields `json:"deployment"`
	}
	variables := func() map[string]any { return map[string]any{"id": deployment} }
	return func(yield func(string, error) bool) {
		for s, err := range subscribeAgain[data](ctx, c, c.op("follow deployment %s", deployment), "FollowDeployment", variables) {
			text := "open"
			if err != nil {
				text = ""
			} else if !s.opened {
				text = string(s.data.Deployment.Status)
			}
			if !yield(text, err) {
				return
			}
		}
	}
}

// IsFinal reports whether a subscription is not opened again after a code.
func IsFinal(code int) bool { return isFinal(websocket.CloseError{Code: websocket.StatusCode(code)}) }

// OneLine is oneLine.
var OneLine = oneLine

// Attribute is attribute.
var Attribute = attribute

// LogFilter is logFilter.
var LogFilter = logFilter

// ParseLogs reads the data of an answer or a message with log lines.
func ParseLogs(data []byte) ([]incident.LogLine, error) {
	var d logData
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, err
	}
	var list []incident.LogLine
	for _, l := range linesOf(d) {
		list = append(list, l.LogLine)
	}
	return list, nil
}
