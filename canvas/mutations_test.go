package canvas_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
)

// mutations are all calls that change something, and whether they may be
// repeated when it is not known what became of the first attempt.
var mutations = []struct {
	name     string
	repeated bool
	call     func(context.Context, *canvas.Client) error
}{
	{"create token", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateAccessToken(ctx, canvas.Self, canvas.TokenOptions{Purpose: "p"})
		return err
	}},
	{"regenerate token", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.RegenerateAccessToken(ctx, canvas.Self, "1", canvas.Null[canvas.Time]{})
		return err
	}},
	{"delete token", true, func(ctx context.Context, c *canvas.Client) error { return c.DeleteAccessToken(ctx, canvas.Self, "1") }},
	{"create page", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreatePage(ctx, "1", canvas.PageChange{})
		return err
	}},
	{"update page", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdatePage(ctx, "1", "a", canvas.PageChange{Body: canvas.Value("b")})
		return err
	}},
	{"rename page by its name", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdatePage(ctx, "1", "a", canvas.PageChange{Title: canvas.Value("b")})
		return err
	}},
	{"rename page by its id", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdatePage(ctx, "1", canvas.Page{ID: 7}.Ref(), canvas.PageChange{Title: canvas.Value("b")})
		return err
	}},
	{"delete page", true, func(ctx context.Context, c *canvas.Client) error { return c.DeletePage(ctx, "1", "a") }},
	{"create assignment", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateAssignment(ctx, "1", canvas.AssignmentChange{})
		return err
	}},
	{"update assignment", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdateAssignment(ctx, "1", "2", canvas.AssignmentChange{})
		return err
	}},
	{"delete assignment", true, func(ctx context.Context, c *canvas.Client) error { return c.DeleteAssignment(ctx, "1", "2") }},
	{"create module", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateModule(ctx, "1", canvas.ModuleChange{})
		return err
	}},
	{"update module", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdateModule(ctx, "1", "2", canvas.ModuleChange{})
		return err
	}},
	{"delete module", true, func(ctx context.Context, c *canvas.Client) error { return c.DeleteModule(ctx, "1", "2") }},
	{"create item", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateModuleItem(ctx, "1", "2", canvas.ModuleItemChange{})
		return err
	}},
	{"update item", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdateModuleItem(ctx, "1", "2", "3", canvas.ModuleItemChange{})
		return err
	}},
	{"delete item", true, func(ctx context.Context, c *canvas.Client) error { return c.DeleteModuleItem(ctx, "1", "2", "3") }},
	{"delete file", true, func(ctx context.Context, c *canvas.Client) error { return c.DeleteFile(ctx, 1) }},
	{"announce file", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UploadFile(ctx, "1", canvas.Upload{Name: "a", Content: strings.NewReader("")})
		return err
	}},
	{"create tool", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateTool(ctx, canvas.Place{Account: "1"}, 2)
		return err
	}},
	{"delete tool", true, func(ctx context.Context, c *canvas.Client) error {
		return c.DeleteTool(ctx, canvas.Place{Course: "1"}, 2)
	}},
	{"bind key", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.BindDeveloperKey(ctx, "1", 2, canvas.BindingOff)
		return err
	}},
	{"bind registration", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.BindRegistration(ctx, "1", 2, canvas.BindingOff)
		return err
	}},
	{"reset registration", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.ResetRegistration(ctx, "1", 2)
		return err
	}},
	{"create notification", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CreateNotification(ctx, "1", canvas.NotificationChange{})
		return err
	}},
	{"update notification", true, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.UpdateNotification(ctx, "1", 2, canvas.NotificationChange{Roles: canvas.Value([]string{})})
		return err
	}},
	{"close notification", true, func(ctx context.Context, c *canvas.Client) error { return c.CloseNotification(ctx, "1", 2) }},
	{"remove notification", true, func(ctx context.Context, c *canvas.Client) error { return c.RemoveNotification(ctx, "1", 2) }},
	{"start page view query", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.StartPageViewQuery(ctx, "1", moment1, moment2)
		return err
	}},
	{"cancel job", false, func(ctx context.Context, c *canvas.Client) error {
		_, err := c.CancelProgress(ctx, 1)
		return err
	}},
}

// Requirement: CV-GOTCHA-9, CV-PEER-JJUANRIVVERA-POST
func TestMutationsAreRepeatedOnlyIfTheyMayBe(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					requests++
					return answering(http.StatusBadGateway, "<html></html>", "Content-Type", "text/html", "X-Request-Cost", "", "X-Rate-Limit-Remaining", "").Transport.RoundTrip(r)
				})})
				err := m.call(t.Context(), c)
				require.Error(t, err)
				assert.False(t, runbook.SafeToRetry(err), "what happened is not known")
				if m.repeated {
					assert.Greater(t, requests, 1)
				} else {
					assert.Equal(t, 1, requests)
				}
			})
		})
	}
}

// A rejection by the bucket did not run, so that every call may be repeated
// after it.
//
// Requirement: CV-THROTTLE-RETRY
func TestMutationsAreRepeatedAfterTheBucketRejectedThem(t *testing.T) {
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bodies := []string{}
				c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					body := ""
					if r.Body != nil {
						b := new(strings.Builder)
						_, err := copyAll(b, r.Body)
						require.NoError(t, err)
						body = b.String()
					}
					bodies = append(bodies, body)
					if len(bodies) == 1 {
						return answering(http.StatusTooManyRequests, "429 Forbidden (Rate Limit Exceeded)\n", "Content-Type", "text/plain", "X-Request-Cost", "").Transport.RoundTrip(r)
					}
					return answering(http.StatusNotFound, `{"errors":[{"message":"The specified resource does not exist."}]}`).Transport.RoundTrip(r)
				})})
				require.ErrorIs(t, m.call(t.Context(), c), canvas.ErrNotFound)
				require.Len(t, bodies, 2)
				assert.Equal(t, bodies[0], bodies[1])
			})
		})
	}
}
